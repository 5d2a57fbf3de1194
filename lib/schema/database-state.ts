import { groupedBy } from '../definition/grouped-by.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import {
  type RelationRow,
  selectRelations,
  selectSchemas,
  type SchemaRow,
} from '../postgres/catalog.sql.js';
import { type DependentRow, selectDependents } from '../postgres/dependents.sql.js';
import { displayName, type QualifiedName, rowName } from '../postgres/identifier.js';
import { INSTALLATION_VERSION } from '../postgres/installation.sql.js';
import { readInstalledVersion } from '../postgres/installed-version.js';
import type { Session } from '../postgres/session.js';
import { type KnownViewRow, selectKnownViews } from '../postgres/state.sql.js';
import {
  type IndexRow,
  type Reading,
  selectViewIndexes,
  selectViews,
  selectViewStatistics,
  type StatisticsRow,
  type ViewRow,
} from '../postgres/view-catalog.sql.js';
import { viewKindOf } from '../postgres/view-kind.js';
import type { DeployedView } from './deployed-view.js';

/** The views in the database, and what it remembers about them. Aspects read everything else. */
export interface DatabaseState {
  stateSchema: string;
  installedVersion: number;
  targetVersion: number;
  schemas: Set<string>;
  /** All views, materialized and plain, by name. */
  views: Map<string, DeployedView>;
  /** What has one of the given names. */
  relations: Map<string, RelationRow>;
  /** For each view, the views that read it. */
  dependents: Map<string, string[]>;
  /** What is remembered about views, by name. */
  known: Map<string, KnownViewRow>;
}

/**
 * Reads all of it in a constant number of queries, however many views there are. Runs in the
 * caller's transaction.
 *
 * @param reading unless it is the whole, no dependents are read
 */
export async function readDatabaseState(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  declared: QualifiedName[],
  reading: Reading = 'whole',
): Promise<DatabaseState> {
  const installedVersion = await readInstalledVersion(session, stateSchema);
  const isWhole = reading === 'whole';
  const dependencies = isWhole ? await session.query<DependentRow>(selectDependents()) : [];
  const views = await readViews(session, dependencies, reading);
  const relations = await session.query<RelationRow>(selectRelations(declared));
  const schemas = await session.query<SchemaRow>(
    selectSchemas([stateSchema, ...declared.map((name) => name.schema)]),
  );
  const known =
    installedVersion > 0 ? await session.query<KnownViewRow>(selectKnownViews(stateSchema)) : [];
  return {
    stateSchema,
    installedVersion,
    targetVersion: INSTALLATION_VERSION,
    schemas: new Set(schemas.map((row) => row.schema_name)),
    views: new Map(views.map((view) => [displayName(view.name), view])),
    relations: new Map(relations.map((row) => [rowName(row), row])),
    dependents: dependentsByName(views, dependencies),
    known: new Map(known.map((row) => [rowName(row), row])),
  };
}

async function readViews(
  session: Pick<Session, 'query'>,
  dependencies: DependentRow[],
  reading: Reading,
): Promise<DeployedView[]> {
  const rows = await session.query<ViewRow>(selectViews(undefined, reading));
  const indexes = ofViews(await session.query<IndexRow>(selectViewIndexes(reading)));
  const statistics = ofViews(
    reading === 'whole' ? await session.query<StatisticsRow>(selectViewStatistics()) : [],
  );
  const others = ofViews(dependencies.filter(({ description }) => description !== null));
  return rows.flatMap((row) => {
    const kind = viewKindOf(row.relation_kind);
    const view = {
      row,
      name: { schema: row.schema_name, name: row.view_name },
      indexes: indexes.get(row.oid) ?? [],
      statistics: statistics.get(row.oid) ?? [],
      otherDependents: (others.get(row.oid) ?? []).flatMap(({ description }) => description ?? []),
    };
    return kind === undefined ? [] : [{ ...view, kind }];
  });
}

function ofViews<Row extends { view_oid: string }>(rows: readonly Row[]): Map<string, Row[]> {
  return groupedBy(rows, ({ view_oid }) => view_oid);
}

function dependentsByName(
  views: DeployedView[],
  dependencies: DependentRow[],
): Map<string, string[]> {
  const names = new Map(views.map((view) => [view.row.oid, displayName(view.name)]));
  const dependents = new Map<string, string[]>();
  for (const { view_oid, dependent_oid } of dependencies) {
    const source = names.get(view_oid);
    const dependent = dependent_oid === null ? undefined : names.get(dependent_oid);
    if (source !== undefined && dependent !== undefined) {
      const above = dependents.get(source) ?? [];
      above.push(dependent);
      dependents.set(source, above);
    }
  }
  return dependents;
}

/**
 * With the dependencies that classes declare because a function reads the view, which PostgreSQL doesn't know. The
 * catalog's dependencies are those of the existing views. If a new release reverses one, they decide what can be
 * dropped.
 */
export function withDeclaredDependencies(
  state: DatabaseState,
  definitions: readonly ViewDefinition[],
): DatabaseState {
  return definitions
    .map((view) => [viewName(view), view.dependsOn.map(displayName)] as const)
    .reduce(withDependencies, state);
}

function withDependencies(
  state: DatabaseState,
  [name, sources]: readonly [string, string[]],
): DatabaseState {
  if (sources.length === 0) {
    return state;
  }
  const dependents = new Map(state.dependents);
  for (const source of sources) {
    if (!withDependents([name], { dependents }).has(source)) {
      dependents.set(source, [...new Set([...(dependents.get(source) ?? []), name])]);
    }
  }
  return { ...state, dependents };
}

/**
 * With the dependencies that classes declared when the views were created. Undoing recreates them in that order.
 */
export function withRememberedDependencies(state: DatabaseState): DatabaseState {
  return [...state.known]
    .map(([name, { depends_on }]) => [name, depends_on ?? []] as const)
    .reduce(withDependencies, state);
}

/** The names, with those of all views above them, directly or not. */
export function withDependents(
  names: Iterable<string>,
  { dependents }: Pick<DatabaseState, 'dependents'>,
): Set<string> {
  const all = new Set(names);
  // Iterating over a Set includes what is added meanwhile.
  for (const name of all) {
    (dependents.get(name) ?? []).forEach((dependent) => all.add(dependent));
  }
  return all;
}
