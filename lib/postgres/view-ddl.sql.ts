import { escapeLiteral } from 'pg';
import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import { applicationSetting } from './own-settings.sql.js';
import type { ViewQuery } from './rehearsal.sql.js';
import type { SqlStatement } from './sql-statement.js';
import type { StatisticsRow } from './view-catalog.sql.js';
import type { ColumnJson } from './view-details.sql.js';
import { MATERIALIZED, type ViewKind } from './view-kind.js';

export interface ViewAttributes {
  accessMethod: string | null;
  /** `name=value`, as in pg_class.reloptions. */
  storage: string[];
  /** The same of its TOAST table. */
  toastStorage: string[];
  tablespace: string | null;
}

export interface NewView extends ViewAttributes {
  name: QualifiedName;
  kind: ViewKind;
  query: ViewQuery;
  withData: boolean;
  /** Whether a plain view with this name exists and must be replaced. */
  replaces?: boolean;
}

/**
 * Up to PostgreSQL 16, the query runs as the role that creates the view, not as its owner: see
 * `buildStatements`.
 */
export function createView(view: NewView): SqlStatement {
  const parameters = [
    ...view.storage.map(storageParameter),
    ...view.toastStorage.map((parameter) => `toast.${storageParameter(parameter)}`),
  ];
  const clauses = [
    `CREATE ${view.replaces ? 'OR REPLACE ' : ''}${view.kind.keyword} ${quoteQualifiedName(view.name)}`,
    view.kind.storesRows && view.accessMethod && `USING ${quoteIdentifier(view.accessMethod)}`,
    parameters.length > 0 && `WITH (${parameters.join(', ')})`,
    view.tablespace && `TABLESPACE ${quoteIdentifier(view.tablespace)}`,
    `AS\n${withoutSemicolon(view.query.text)}`,
    view.kind.storesRows && !view.withData && 'WITH NO DATA',
  ];
  return {
    text: clauses.filter(Boolean).join('\n'),
    hasApplicationText: view.query.isDeclared,
  };
}

/** pg_get_viewdef ends in a semicolon. */
function withoutSemicolon(query: string): string {
  const trimmed = query.trimEnd();
  return trimmed.endsWith(';') ? trimmed.slice(0, -1) : trimmed;
}

/** Turns `name=value` of the catalog into a clause. */
function storageParameter(parameter: string): string {
  const [name, value] = splitParameter(parameter);
  return `${quoteIdentifier(name)} = ${escapeLiteral(value)}`;
}

export function splitParameter(parameter: string): [name: string, value: string] {
  const at = parameter.indexOf('=');
  return [parameter.slice(0, at), parameter.slice(at + 1)];
}

function alter(kind: ViewKind, name: QualifiedName, action: string): SqlStatement {
  return { text: `ALTER ${kind.keyword} ${quoteQualifiedName(name)} ${action}` };
}

/** Never CASCADE: PostgreSQL refuses (2BP01) to drop what something else depends on. */
export function dropView(kind: ViewKind, name: QualifiedName): SqlStatement {
  return { text: `DROP ${kind.keyword} ${quoteQualifiedName(name)}` };
}

export function renameView(kind: ViewKind, name: QualifiedName, to: string): SqlStatement {
  return alter(kind, name, `RENAME TO ${quoteIdentifier(to)}`);
}

export function moveView(kind: ViewKind, name: QualifiedName, schema: string): SqlStatement {
  return alter(kind, name, `SET SCHEMA ${quoteIdentifier(schema)}`);
}

export function setOwner(kind: ViewKind, name: QualifiedName, owner: string): SqlStatement {
  return alter(kind, name, `OWNER TO ${quoteIdentifier(owner)}`);
}

export function setStorage(kind: ViewKind, name: QualifiedName, storage: string[]): SqlStatement {
  return alter(kind, name, `SET (${storage.map(storageParameter).join(', ')})`);
}

export function resetStorage(kind: ViewKind, name: QualifiedName, names: string[]): SqlStatement {
  return alter(kind, name, `RESET (${names.map(quoteIdentifier).join(', ')})`);
}

export function setTablespace(name: QualifiedName, tablespace: string): SqlStatement {
  return alter(MATERIALIZED, name, `SET TABLESPACE ${quoteIdentifier(tablespace)}`);
}

export function clusterOn(name: QualifiedName, index: string): SqlStatement {
  return alter(MATERIALIZED, name, `CLUSTER ON ${quoteIdentifier(index)}`);
}

/** By pg_class.relreplident, except an index, which a view can't use. */
export const REPLICA_IDENTITIES: Record<string, string> = { d: 'DEFAULT', f: 'FULL', n: 'NOTHING' };

export function setReplicaIdentity(name: QualifiedName, identity: string): SqlStatement {
  return alter(MATERIALIZED, name, `REPLICA IDENTITY ${REPLICA_IDENTITIES[identity]}`);
}

/** Makes it depend on the extension, so that it is dropped with it. */
export function viewDependsOn(view: QualifiedName, extension: string): SqlStatement {
  return alter(MATERIALIZED, view, `DEPENDS ON EXTENSION ${quoteIdentifier(extension)}`);
}

export function indexDependsOn(index: QualifiedName, extension: string): SqlStatement {
  return {
    text: `ALTER INDEX ${quoteQualifiedName(index)} DEPENDS ON EXTENSION ${quoteIdentifier(extension)}`,
  };
}

export function commentOnView(
  kind: ViewKind,
  name: QualifiedName,
  comment: string | null,
): SqlStatement {
  return commentOn(`${kind.keyword} ${quoteQualifiedName(name)}`, comment);
}

export function commentOnRowType(view: QualifiedName, comment: string): SqlStatement {
  return commentOn(`TYPE ${quoteQualifiedName(view)}`, comment);
}

export function commentOnIndex(index: QualifiedName, comment: string): SqlStatement {
  return commentOn(`INDEX ${quoteQualifiedName(index)}`, comment);
}

function commentOn(subject: string, comment: string | null): SqlStatement {
  return {
    text: `COMMENT ON ${subject} IS ${comment === null ? 'NULL' : escapeLiteral(comment)}`,
  };
}

/** By pg_attribute.attstorage. */
export const STORAGE_NAMES: Record<string, string> = {
  p: 'PLAIN',
  e: 'EXTERNAL',
  m: 'MAIN',
  x: 'EXTENDED',
};

/** By pg_attribute.attcompression. */
export const COMPRESSION_NAMES: Record<string, string> = { p: 'pglz', l: 'lz4' };

/** Comment, statistics target, storage and default of a column, unless they are the defaults. */
export function columnSettings(
  kind: ViewKind,
  name: QualifiedName,
  column: ColumnJson,
): SqlStatement[] {
  const quotedColumn = quoteIdentifier(column.name);
  const set = (action: string): SqlStatement =>
    alter(kind, name, `ALTER COLUMN ${quotedColumn} SET ${action}`);
  return [
    column.comment === null
      ? undefined
      : commentOn(`COLUMN ${quoteQualifiedName(name)}.${quotedColumn}`, column.comment),
    ...(kind.storesRows ? storageSettings(column, set) : []),
    column.default === null ? undefined : set(`DEFAULT ${column.default}`),
  ].filter((statement) => statement !== undefined);
}

/** For rows, which only a materialized view has. */
function storageSettings(
  column: ColumnJson,
  set: (action: string) => SqlStatement,
): (SqlStatement | undefined)[] {
  return [
    column.statistics === null ? undefined : set(`STATISTICS ${column.statistics}`),
    column.options === null
      ? undefined
      : set(`(${column.options.map(storageParameter).join(', ')})`),
    column.storage === null ? undefined : set(`STORAGE ${STORAGE_NAMES[column.storage]}`),
    column.compression === null
      ? undefined
      : set(`COMPRESSION ${COMPRESSION_NAMES[column.compression]}`),
  ];
}

/** Creates an index from the part of its definition after USING, as the catalog has it. */
export function createIndexFromBody(
  view: QualifiedName,
  index: { name: string; isUnique: boolean; body: string },
): SqlStatement {
  return {
    text: `CREATE ${index.isUnique ? 'UNIQUE ' : ''}INDEX ${quoteIdentifier(index.name)}
ON ${quoteQualifiedName(view)}
USING ${index.body}`,
    // Up to PostgreSQL 16, its functions run with the search_path of the session that creates the
    // index.
    hasApplicationText: true,
  };
}

/**
 * The tablespace of indexes created after this; `''` for the database's own. CREATE INDEX ... USING has no place for it.
 */
export function setDefaultTablespace(tablespace: string): SqlStatement {
  const setting = applicationSetting('default_tablespace');
  return { text: `SET LOCAL ${setting} = ${escapeLiteral(tablespace)}` };
}

export function dropIndex(index: QualifiedName): SqlStatement {
  return { text: `DROP INDEX ${quoteQualifiedName(index)}` };
}

export function renameIndex(index: QualifiedName, to: string): SqlStatement {
  return {
    text: `ALTER INDEX ${quoteQualifiedName(index)} RENAME TO ${quoteIdentifier(to)}`,
  };
}

export function setIndexStatistics(
  index: QualifiedName,
  position: number,
  target: number,
): SqlStatement {
  return {
    text: `ALTER INDEX ${quoteQualifiedName(index)} ALTER COLUMN ${position} SET STATISTICS ${target}`,
  };
}

/** Extended statistics under another name, with their target, comment and owner. */
export function createStatistics(
  view: QualifiedName,
  row: StatisticsRow,
  temporaryName: string,
): SqlStatement[] {
  const quotedName = quoteQualifiedName({ schema: row.schema_name, name: temporaryName });
  return [
    { text: `CREATE STATISTICS ${quotedName} ${row.body} FROM ${quoteQualifiedName(view)}` },
    ...(row.target === null
      ? []
      : [{ text: `ALTER STATISTICS ${quotedName} SET STATISTICS ${row.target}` }]),
    ...(row.comment === null ? [] : [commentOn(`STATISTICS ${quotedName}`, row.comment)]),
    { text: `ALTER STATISTICS ${quotedName} OWNER TO ${quoteIdentifier(row.owner)}` },
  ];
}

export function renameStatistics(statistics: QualifiedName, to: string): SqlStatement {
  return {
    text: `ALTER STATISTICS ${quoteQualifiedName(statistics)} RENAME TO ${quoteIdentifier(to)}`,
  };
}

/** The undo of a change that can't be undone. */
export function refuseWayBack(reason: string): SqlStatement {
  const body = `BEGIN RAISE EXCEPTION USING MESSAGE = ${escapeLiteral(reason)}, ERRCODE = 'object_not_in_prerequisite_state'; END`;
  return { text: `DO ${escapeLiteral(body)}` };
}

/** The query of a view that stores another view's rows. */
export function selectAll(view: QualifiedName): string {
  return `SELECT * FROM ${quoteQualifiedName(view)}`;
}
