import type { ViewDefinition } from '../definition/view-definition.js';
import { analyze } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { type GrantJson, withoutDefaultPrivileges } from '../postgres/privilege.sql.js';
import { refreshMaterializedView } from '../postgres/refresh.sql.js';
import type { ViewQuery } from '../postgres/rehearsal.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { StatisticsRow } from '../postgres/view-catalog.sql.js';
import {
  clusterOn,
  columnSettings,
  commentOnRowType,
  commentOnView,
  createStatistics,
  createView,
  renameIndex,
  renameStatistics,
  renameView,
  setOwner,
  setReplicaIdentity,
  type ViewAttributes,
  viewDependsOn,
} from '../postgres/view-ddl.sql.js';
import type { ColumnJson } from '../postgres/view-details.sql.js';
import type { ViewKind } from '../postgres/view-kind.js';
import type { DeployedView } from './deployed-view.js';
import { type IndexBlueprint, indexStatements } from './index-statements.js';
import { storageOf } from './storage.js';
import { privilegeStatements } from './privilege-statements.js';
import type { RehearsedMember } from './rehearsal.js';
import { temporaryName } from './temporary-name.js';

/** Everything that is needed to create a view. */
export interface ViewBlueprint {
  kind: ViewKind;
  name: QualifiedName;
  /** The name under which it is created: its final name if that is free. */
  buildName: QualifiedName;
  query: ViewQuery;
  withData: boolean;
  attributes: ViewAttributes;
  comment: string | null;
  /** `undefined` for a new view: it belongs to the role that creates it. */
  owner?: string;
  /** `undefined` for a new view: it has the default privileges. */
  grants?: GrantJson[] | null;
  columns: ColumnJson[];
  indexes: IndexBlueprint[];
  statistics: StatisticsRow[];
  clusterIndex?: string;
  typeComment: string | null;
  /** As in pg_class.relreplident. */
  replicaIdentity: string;
  extensions: string[];
}

/** What a member of a closure becomes: as declared, otherwise as it was. */
export function blueprintOf(member: RehearsedMember): ViewBlueprint {
  const { deployed, definition, kind, name, buildName } = member;
  const previous = deployed && previousBlueprint(deployed, name, buildName, '');
  // What belongs to rows is dropped with them.
  const kept = deployed?.kind === kind ? previous : previous && withoutRows(previous);
  const indexes = [
    ...(definition?.indexes ?? []).map((declared) => ({
      name: declared.name,
      declared,
      existing: deployed?.indexes.find((index) => index.name === declared.name),
    })),
    ...handMade(deployed, definition, [
      ...member.invalidIndexes,
      ...member.lostIndexes,
      ...member.ownIndexes,
    ]),
  ];
  return {
    typeComment: null,
    replicaIdentity: 'd',
    extensions: [],
    ...kept,
    kind,
    name,
    buildName,
    query: member.buildQuery,
    withData: member.withData && !member.isFilledLast,
    // Those of a view of another kind don't apply.
    attributes: attributesOf(
      definition,
      deployed?.kind === kind ? previous?.attributes : undefined,
    ),
    comment: definition?.comment ?? previous?.comment ?? null,
    columns: fittingColumns(previous?.columns ?? [], member),
    indexes,
    statistics: (kept?.statistics ?? []).filter((row) => !member.lostStatistics.includes(row.name)),
    clusterIndex: indexes.some((index) => index.name === previous?.clusterIndex)
      ? previous?.clusterIndex
      : undefined,
  };
}

/** What columns had, if they are still there. The way of storage and the compression go with a type that can have them. */
export function fittingColumns(
  previous: readonly ColumnJson[],
  { columns, plainColumns }: { columns: readonly string[]; plainColumns: readonly string[] },
): ColumnJson[] {
  return previous
    .filter(({ name }) => columns.includes(name))
    .map((column) =>
      plainColumns.includes(column.name) ? { ...column, storage: null, compression: null } : column,
    );
}

/** What a view takes over from one of another kind. */
function withoutRows(blueprint: ViewBlueprint): ViewBlueprint {
  return {
    ...blueprint,
    statistics: [],
    replicaIdentity: 'd',
    extensions: [],
  };
}

/** A view as it is, to be created again. */
export function previousBlueprint(
  deployed: DeployedView,
  name: QualifiedName,
  buildName: QualifiedName,
  definition: string,
): ViewBlueprint {
  const { row } = deployed;
  return {
    kind: deployed.kind,
    name,
    buildName,
    query: { text: definition, isDeclared: false },
    withData: row.is_populated,
    attributes: {
      accessMethod: row.access_method,
      storage: row.storage,
      toastStorage: row.toast_storage,
      tablespace: row.tablespace,
    },
    comment: row.comment,
    typeComment: row.type_comment,
    replicaIdentity: row.replica_identity,
    extensions: row.extensions,
    owner: row.owner,
    grants: row.grants,
    columns: row.columns,
    indexes: deployed.indexes
      // An index left by a failed CREATE INDEX CONCURRENTLY is of no use, and may fail again.
      .filter(({ is_valid }) => is_valid)
      .map((existing) => ({ name: existing.name, existing })),
    statistics: deployed.statistics,
    clusterIndex: deployed.indexes.find((index) => index.is_clustered)?.name,
  };
}

function handMade(
  deployed: DeployedView | undefined,
  definition: ViewDefinition | undefined,
  dropped: string[],
): IndexBlueprint[] {
  const declared = new Set(definition?.indexes.map((index) => index.name));
  return (deployed?.indexes ?? [])
    .filter(({ name }) => !declared.has(name) && !dropped.includes(name))
    .map((existing) => ({ name: existing.name, existing }));
}

function attributesOf(
  definition: ViewDefinition | undefined,
  previous: ViewAttributes | undefined,
): ViewAttributes {
  // An existing view keeps what it has, unless something is declared.
  const isKept = definition?.storage === undefined && previous !== undefined;
  return {
    accessMethod: definition?.accessMethod ?? previous?.accessMethod ?? null,
    storage:
      definition !== undefined && !isKept
        ? storageOf(definition, previous?.storage)
        : (previous?.storage ?? []),
    toastStorage: previous?.toastStorage ?? [],
    tablespace: definition?.tablespace ?? previous?.tablespace ?? null,
  };
}

/** Creates a view with everything that belongs to it, under its build name. */
export function buildStatements(blueprint: ViewBlueprint): SqlStatement[] {
  const { kind, buildName, query, withData, attributes, comment, grants, columns } = blueprint;
  const isFilled = kind.storesRows && withData;
  // A new view belongs to the role that creates it.
  const isFilledLater = isFilled && (blueprint.owner !== undefined || isBeside(blueprint));
  const create = createView({
    ...attributes,
    kind,
    name: buildName,
    query,
    withData: withData && !isFilledLater,
  });
  return [
    ...(grants === null ? withoutDefaultPrivileges(buildName, create) : [create]),
    // Before the rows and the indexes: their expressions run as the view's owner.
    ...(blueprint.owner === undefined ? [] : [setOwner(kind, buildName, blueprint.owner)]),
    // Up to PostgreSQL 16, a transaction with an older snapshot sees no rows of CREATE ... AS, but does
    // see those of REFRESH, which are frozen. After the swap it may read this view.
    ...(isFilledLater ? [refreshMaterializedView(buildName)] : []),
    ...blueprint.indexes.flatMap((index) =>
      indexStatements(buildName, indexName(blueprint, index.name), index),
    ),
    ...blueprint.statistics.flatMap((row) =>
      createStatistics(buildName, row, statisticsName(blueprint, row)),
    ),
    ...columns.flatMap((column) => columnSettings(kind, buildName, column)),
    ...(blueprint.clusterIndex === undefined
      ? []
      : [clusterOn(buildName, indexName(blueprint, blueprint.clusterIndex))]),
    ...(blueprint.replicaIdentity === 'd'
      ? []
      : [setReplicaIdentity(buildName, blueprint.replicaIdentity)]),
    ...blueprint.extensions.map((extension) => viewDependsOn(buildName, extension)),
    ...(isFilled ? [analyze(buildName)] : []),
    ...(comment === null ? [] : [commentOnView(kind, buildName, comment)]),
    ...(blueprint.typeComment === null ? [] : [commentOnRowType(buildName, blueprint.typeComment)]),
    ...(grants === undefined ? [] : privilegeStatements(buildName, { grants, columns })),
  ];
}

/** Fills a view that was created without rows. */
export function fillStatements(name: QualifiedName): SqlStatement[] {
  return [refreshMaterializedView(name), analyze(name)];
}

/** Gives a view and what belongs to it their final names, once the old ones are gone. */
export function renameStatements(blueprint: ViewBlueprint): SqlStatement[] {
  const { kind, name, buildName } = blueprint;
  if (!isBeside(blueprint)) {
    return [];
  }
  return [
    renameView(kind, buildName, name.name),
    ...blueprint.indexes.map((index) =>
      renameIndex({ schema: name.schema, name: indexName(blueprint, index.name) }, index.name),
    ),
    ...blueprint.statistics.map((row) =>
      renameStatistics({ schema: row.schema_name, name: statisticsName(blueprint, row) }, row.name),
    ),
  ];
}

/** The names of the indexes by those under which they are created. */
export function finalIndexNames(blueprint: ViewBlueprint): ReadonlyMap<string, string> {
  return new Map(blueprint.indexes.map(({ name }) => [indexName(blueprint, name), name]));
}

function isBeside({ name, buildName }: ViewBlueprint): boolean {
  return buildName.name !== name.name;
}

function indexName(blueprint: ViewBlueprint, index: string): string {
  return isBeside(blueprint) ? temporaryName('index', displayName(blueprint.name), index) : index;
}

function statisticsName(blueprint: ViewBlueprint, row: StatisticsRow): string {
  return isBeside(blueprint) ? temporaryName('statistics', row.schema_name, row.name) : row.name;
}
