import type { SqlStatement } from '../postgres/sql-statement.js';
import { dropView } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import { deployedName, type DeployedView } from './deployed-view.js';
import type { RehearsedMember } from './rehearsal.js';
import {
  blueprintOf,
  buildStatements,
  previousBlueprint,
  renameStatements,
} from './view-blueprint.js';

/** How a closure is made anew beside what it replaces, and back. */
export interface Replacement {
  /** For each member, in order of dependency: what makes it. Readers notice nothing. */
  builds: { member: RehearsedMember; statements: SqlStatement[] }[];
  /** Drops the old and gives the new their names. Readers wait while it runs: milliseconds. */
  swap: SqlStatement[];
  /** Makes the old ones beside the new, drops the new, and renames. */
  undo: SqlStatement[];
}

/** Plans the replacement of a rehearsed closure. Nothing is dropped with CASCADE. */
export function planReplacement(members: RehearsedMember[], state: DatabaseState): Replacement {
  const blueprints = members.map((member) => ({ member, blueprint: blueprintOf(member) }));
  const old = inOldOrder(members, state);
  const previous = old.map(({ member, deployed }) =>
    previousBlueprint(deployed, deployed.name, member.buildName, member.oldBuildQuery ?? ''),
  );
  const { defaultGrantees } = state;
  return {
    builds: blueprints.map(({ member, blueprint }) => ({
      member,
      statements: buildStatements(blueprint, defaultGrantees),
    })),
    swap: [
      ...[...old].reverse().map(({ deployed }) => dropView(deployed.kind, deployed.name)),
      ...blueprints.flatMap(({ blueprint }) => renameStatements(blueprint)),
    ],
    undo: [
      ...previous.flatMap((blueprint) => buildStatements(blueprint, defaultGrantees)),
      ...[...members].reverse().map((member) => dropView(member.kind, member.name)),
      ...previous.flatMap(renameStatements),
    ],
  };
}

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
  const ordered: string[] = [];
  const visit = (name: string): void => {
    if (byName.has(name) && !ordered.includes(name)) {
      (state.dependents.get(name) ?? []).forEach(visit);
      ordered.unshift(name);
    }
  };
  [...byName.keys()].sort().forEach(visit);
  return ordered.map((name) => byName.get(name)).filter((each) => each !== undefined);
}
