import type { ChangeStrategy } from '../definition/module.options.js';
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
  type ViewBlueprint,
} from './view-blueprint.js';

/** How a closure is made anew, and back. */
export interface Replacement {
  /** Drops the old ones first: empty where the new ones are built beside them. */
  clear: SqlStatement[];
  /** For each member, in order of dependency: what makes it. */
  builds: { member: RehearsedMember; statements: SqlStatement[] }[];
  /** Drops the old and gives the new their names: empty where nothing has a temporary name. */
  swap: SqlStatement[];
  /** The same the other way round. */
  undo: SqlStatement[];
}

/** Plans the replacement of a rehearsed closure. Nothing is dropped with CASCADE. */
export function planReplacement(
  members: RehearsedMember[],
  pruned: DeployedView[],
  { state, strategy }: { state: DatabaseState; strategy: ChangeStrategy },
): Replacement {
  const isBeside = strategy === 'side-by-side';
  const old = inOldOrder(members, state);
  const blueprints = members.map((member) => ({ member, blueprint: blueprintOf(member) }));
  const previous = old.map(({ member, deployed }) =>
    isBeside
      ? previousBlueprint(deployed, deployed.name, member.buildName, member.oldBuildQuery ?? '')
      : previousBlueprint(deployed, deployed.name, deployed.name, deployed.row.definition),
  );
  const build = (blueprint: ViewBlueprint): SqlStatement[] =>
    buildStatements(blueprint, state.defaultGrantees);
  const going = [
    ...old.map(({ deployed }) => ({ deployed })),
    ...pruned.map((deployed) => ({ deployed })),
  ];
  const dropOld = inOldOrder(going, state)
    .reverse()
    .map(({ deployed }) => dropView(deployed.kind, deployed.name));
  const restorePruned = inOldOrder(
    pruned.map((deployed) => ({ deployed })),
    state,
  ).flatMap(({ deployed }) => restoreStatements(deployed, state));
  const dropNew = [...members].reverse().map((member) => dropView(member.kind, member.name));
  const rebuildOld = previous.flatMap(build);
  return {
    clear: isBeside ? [] : dropOld,
    builds: blueprints.map(({ member, blueprint }) => ({ member, statements: build(blueprint) })),
    swap: isBeside
      ? [...dropOld, ...blueprints.flatMap(({ blueprint }) => renameStatements(blueprint))]
      : [],
    undo: isBeside
      ? [...rebuildOld, ...dropNew, ...previous.flatMap(renameStatements), ...restorePruned]
      : [...dropNew, ...rebuildOld, ...restorePruned],
  };
}

/** Makes a view again as it was, under its own name. */
export function restoreStatements(deployed: DeployedView, state: DatabaseState): SqlStatement[] {
  const { name, row } = deployed;
  return buildStatements(
    previousBlueprint(deployed, name, name, row.definition),
    state.defaultGrantees,
  );
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
  // By way of views that are no members too: one member may read another through them.
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
