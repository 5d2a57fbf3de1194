import type { DatabaseState } from './database-state.js';
import { deployedName, type DeployedView } from './deployed-view.js';

/** The members that replace something, in the order in which the old views read each other. */
export function inOldOrder<M extends { deployed?: DeployedView }>(
  members: M[],
  state: DatabaseState,
): { member: M; deployed: DeployedView }[] {
  const byName = new Map(
    members.flatMap((member) =>
      member.deployed
        ? [[deployedName(member.deployed), { member, deployed: member.deployed }]]
        : [],
    ),
  );
  // Through other views too: one member may read another through a view that isn't a member.
  const visited = new Set<string>();
  const ordered: string[] = [];
  const visit = (name: string): void => {
    if (!visited.has(name)) {
      visited.add(name);
      (state.dependents.get(name) ?? []).forEach(visit);
      ordered.unshift(name);
    }
  };
  [...byName.keys()].sort().forEach(visit);
  return ordered.map((name) => byName.get(name)).filter((each) => each !== undefined);
}
