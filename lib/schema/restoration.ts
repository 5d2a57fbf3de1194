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
  fittingColumns,
  previousBlueprint,
  renameStatements,
  type ViewBlueprint,
} from './view-blueprint.js';

/** How views are recreated as they were, each after everything that it reads. */
export interface Restoration {
  build: SqlStatement[];
  /** The same, view by view. */
  builds: { deployed: DeployedView; statements: SqlStatement[] }[];
  /** Gives them their names once these are free. */
  finish: SqlStatement[];
}

export interface RestorationOptions {
  /** Unpopulated views that are filled first: `schema.name`. */
  filled?: ReadonlySet<string>;
  /** Views that are filled once everything has its name, because functions find others by name: `schema.name`. */
  last?: ReadonlySet<string>;
  /** The name that a view has then. @default that of the `OldView` */
  nameThen?: (deployed: DeployedView) => QualifiedName;
}

/**
 * An unpopulated view may be below a populated one. That one can only be filled while the other has data too, so
 * it is filled and then emptied again.
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
  found,
  declaredIndexes,
}: OldView): ViewBlueprint {
  const blueprint = previousBlueprint(deployed, name, buildName, buildQuery);
  const { columns, indexes } = blueprint;
  return {
    ...blueprint,
    columns: found === undefined ? columns : fittingColumns(columns, found),
    indexes: indexes.map((index) => ({
      ...index,
      declared: declaredIndexes?.find((each) => each.name === index.name),
    })),
  };
}

/** Views as they are, under their present names. */
export function asTheyWere(views: readonly DeployedView[]): OldView[] {
  return views.map((deployed) => ({
    deployed,
    name: deployed.name,
    buildName: deployed.name,
    buildQuery: deployed.row.definition,
  }));
}

/** The unpopulated materialized views that a populated one of the given views reads, directly or not. */
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
