import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { type DatabaseState, withDependents } from './database-state.js';
import { deployedName, type DeployedView } from './deployed-view.js';
import type { OldView } from './old-views.js';
import { inOldOrder } from './view-order.js';
import {
  buildStatements,
  fillStatements,
  previousBlueprint,
  renameStatements,
  type ViewBlueprint,
} from './view-blueprint.js';

/** How views are made again as they were, each after all that it reads. */
export interface Restoration {
  build: SqlStatement[];
  /** The same, view by view. */
  builds: { deployed: DeployedView; statements: SqlStatement[] }[];
  /** Gives them their names, once these are free. */
  finish: SqlStatement[];
}

export interface RestorationOptions {
  /** Views without data that get theirs before: `schema.name`. */
  filled?: ReadonlySet<string>;
  /** Views that get their rows once all has its own name, because functions find others by that: `schema.name`. */
  last?: ReadonlySet<string>;
  /** The name that a view has by then. @default that of the `OldView` */
  nameThen?: (deployed: DeployedView) => QualifiedName;
}

/**
 * A view that had no data may stand below one that had: that one can only be filled while the other has data too,
 * which is then taken from it again.
 */
export function restoration(
  views: readonly OldView[],
  state: DatabaseState,
  options: RestorationOptions = {},
): Restoration {
  const old = new Map(views.map((view) => [view.deployed, view]));
  const {
    filled = new Set(),
    last = new Set(),
    nameThen = (deployed) => old.get(deployed)?.name ?? deployed.name,
  } = options;
  const late = withDependents(last, state);
  const emptied = emptyBelow(
    views.map(({ deployed }) => deployed),
    state,
  ).filter((view) => old.has(view) || !filled.has(deployedName(view)));
  const all = [...new Set([...old.keys(), ...emptied])].map((deployed) => ({ deployed }));
  const ordered = inOldOrder(all, state).map(({ deployed }) => deployed);
  const isFilled = (deployed: DeployedView): boolean =>
    deployed.row.is_populated || emptied.includes(deployed);
  const blueprints = new Map(
    [...old].map(([deployed, view]) => [
      deployed,
      {
        ...blueprintOf(view),
        withData: isFilled(deployed) && !late.has(deployedName(deployed)),
      },
    ]),
  );
  const builds = ordered.map((deployed) => {
    const blueprint = blueprints.get(deployed);
    const statements =
      blueprint === undefined
        ? [refreshMaterializedView(deployed.name)]
        : buildStatements(blueprint);
    return { deployed, statements };
  });
  return {
    build: builds.flatMap(({ statements }) => statements),
    builds,
    finish: [
      ...[...blueprints.values()].flatMap(renameStatements),
      ...ordered
        .filter((each) => each.kind.storesRows && late.has(deployedName(each)) && isFilled(each))
        .flatMap((each) => fillStatements(nameThen(each))),
      ...emptied.map((deployed) =>
        refreshMaterializedView(nameThen(deployed), { withData: false }),
      ),
    ],
  };
}

function blueprintOf({
  deployed,
  name,
  buildName,
  buildQuery,
  asDeclared,
}: OldView): ViewBlueprint {
  const blueprint = previousBlueprint(deployed, name, buildName, buildQuery);
  return asDeclared === undefined
    ? blueprint
    : {
        ...blueprint,
        columns: blueprint.columns.filter((column) => asDeclared.columns.includes(column.name)),
        indexes: blueprint.indexes.map((index) => ({
          ...index,
          declared: asDeclared.indexes.find((each) => each.name === index.name),
        })),
      };
}

/** Views as they are, under the names that they have. */
export function asTheyWere(views: readonly DeployedView[]): OldView[] {
  return views.map((deployed) => ({
    deployed,
    name: deployed.name,
    buildName: deployed.name,
    buildQuery: deployed.row.definition,
  }));
}

/** The materialized views without data that are read, at whatever distance, by one of the given that has some. */
function emptyBelow(views: readonly DeployedView[], state: DatabaseState): DeployedView[] {
  const populated = views.filter(({ kind, row }) => kind.storesRows && row.is_populated);
  return [...state.views.values()].filter(({ kind, row, name }) => {
    const above = withDependents([displayName(name)], state);
    return (
      kind.storesRows &&
      !row.is_populated &&
      populated.some((view) => above.has(deployedName(view)))
    );
  });
}
