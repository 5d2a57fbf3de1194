import { displayName, namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import type { ViewKind } from './view-kind.js';
import type { SqlStatement } from './sql-statement.js';

/** What the library remembers about a view's definition. */
export interface KnownViewRow {
  schema_name: string;
  view_name: string;
  /** Whether the library may drop the view once no class declares it. */
  is_own: boolean;
  /** The indexes that the library created. No others are ever dropped. */
  own_indexes: string[];
  /** What was declared when the view last matched its declaration: a hash, and its previous name. */
  declared_hash: string | null;
  /** What was declared and what the catalog had then. */
  fingerprint: string | null;
  definition_version: string | null;
  /** Which changes it tracks; `null` for none. */
  capture: CaptureRecord | null;
  /**
   * The names of the applications that declare or created it: `''` for one without a name, `null` for those from
   * before names were recorded. `null` as a whole if no application has claimed it since.
   */
  applications: (string | null)[] | null;
  /**
   * pg_class.relkind of the view that the library created; `null` for a materialized one before version 6.
   */
  relation_kind: string | null;
  /** What it reads inside functions, as declared: `schema.name`; `null` for nothing, or before version 7. */
  depends_on: string[] | null;
}

/** The part of a view's declaration that decides which tables are captured. */
export interface CaptureRecord {
  reads_sources: boolean;
  tables: QualifiedName[];
}

/**
 * All views with a state row, declared or not. Before version 2 there was no `capture`, before 4 no `applications`, before 6 no `relation_kind`, before 7 no
 * `depends_on`.
 */
export function selectKnownViews(stateSchema: string): SqlStatement {
  return {
    text: `SELECT s.schema_name,
       s.view_name,
       s.is_own,
       s.own_indexes,
       s.declared_hash,
       s.fingerprint,
       s.definition_version,
       w.whole -> 'capture' AS capture,
       w.whole -> 'applications' AS applications,
       w.whole ->> 'relation_kind' AS relation_kind,
       w.whole -> 'depends_on' AS depends_on
FROM ${quoteIdentifier(stateSchema)}.view_state s
CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(s) AS whole OFFSET 0) AS w`,
  };
}

/** While a view tracks less, the log is not kept for it, so its watermark no longer means anything. */
const KEEPS_SIGNATURE = `source_signature = CASE WHEN s.capture IS NOT DISTINCT FROM excluded.capture THEN s.source_signature END`;

/** Adds an application to those that hold a view. A view created before names were recorded may belong to others too. */
function claim(application: string): string {
  return `applications = CASE WHEN ${application}::text = ANY (s.applications) THEN s.applications
                         WHEN s.is_own AND s.applications IS NULL THEN ARRAY[NULL, ${application}::text]
                         ELSE pg_catalog.array_append(s.applications, ${application}::text) END`;
}

/** What is remembered once a view matches its declaration. */
export interface DefinitionRecord {
  view: QualifiedName;
  kind: ViewKind;
  isPopulated: boolean;
  ownIndexes: string[];
  declaredHash: string;
  fingerprint: string;
  version: number | undefined;
  capture: CaptureRecord | null;
  dependsOn: string[] | null;
}

/**
 * Remembers views as they are now. If the library didn't know the view: a populated one already has the rows of past
 * ticks, so only ticks from now on count; an unpopulated one has no last tick and is due at once. Rows that already say
 * all this are not written: a refresh holds its row until it commits, and each would wait for the other.
 *
 * @param application the one that declares them; `''` if it has no name
 */
export function recordDefinitions(
  stateSchema: string,
  application: string,
  records: DefinitionRecord[],
): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.view_state AS s
  (schema_name, view_name, last_tick, is_own, own_indexes, declared_hash, fingerprint, definition_version, capture, applications, relation_kind, depends_on)
SELECT r.schema_name,
       r.view_name,
       CASE WHEN r.is_populated THEN pg_catalog.clock_timestamp() END,
       true,
       r.own_indexes,
       r.declared_hash,
       r.fingerprint,
       r.version,
       r.capture,
       ARRAY[$2::text],
       r.relation_kind,
       r.depends_on
FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS r(
  schema_name text, view_name text, is_populated boolean, own_indexes text[],
  declared_hash text, fingerprint text, version bigint, capture jsonb, relation_kind text, depends_on text[]
)
WHERE NOT EXISTS (
  SELECT
  FROM ${quoteIdentifier(stateSchema)}.view_state known
  WHERE known.schema_name = r.schema_name
    AND known.view_name = r.view_name
    AND known.is_own
    AND known.own_indexes = r.own_indexes
    AND known.declared_hash = r.declared_hash
    AND known.fingerprint = r.fingerprint
    AND known.capture IS NOT DISTINCT FROM r.capture
    AND known.depends_on IS NOT DISTINCT FROM r.depends_on
    AND $2::text = ANY (known.applications)
    AND (r.version IS NULL OR known.definition_version >= r.version)
)
ON CONFLICT (schema_name, view_name) DO UPDATE
SET is_own = true,
    own_indexes = excluded.own_indexes,
    declared_hash = excluded.declared_hash,
    fingerprint = excluded.fingerprint,
    capture = excluded.capture,
    relation_kind = excluded.relation_kind,
    depends_on = excluded.depends_on,
    ${KEEPS_SIGNATURE},
    ${claim('$2')},
    definition_version = greatest(s.definition_version, excluded.definition_version)`,
    values: [
      JSON.stringify(
        records.map((record) => ({
          schema_name: record.view.schema,
          view_name: record.view.name,
          relation_kind: record.kind.relkind,
          is_populated: record.isPopulated,
          own_indexes: record.ownIndexes,
          declared_hash: record.declaredHash,
          fingerprint: record.fingerprint,
          version: record.version ?? null,
          capture: record.capture,
          depends_on: record.dependsOn,
        })),
      ),
      application,
    ],
  };
}

/** Records that an application holds views, if they have a state row. Nothing else is changed. */
export function claimViews(
  stateSchema: string,
  application: string,
  views: readonly QualifiedName[],
): SqlStatement {
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.view_state AS s
SET ${claim('$1')}
${AMONG_NAMES}
  AND NOT coalesce($1::text = ANY (s.applications), false)`,
    values: [application, ...namesOf(views)],
  };
}

/** Records that an application no longer holds views. */
export function releaseViews(
  stateSchema: string,
  application: string,
  views: readonly QualifiedName[],
): SqlStatement {
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.view_state AS s
SET applications = pg_catalog.array_remove(s.applications, $1::text)
${AMONG_NAMES}`,
    values: [application, ...namesOf(views)],
  };
}

const AMONG_NAMES = `FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])) AS v(schema_name, view_name)
WHERE s.schema_name = v.schema_name AND s.view_name = v.view_name`;

export interface CaptureOfView {
  view: QualifiedName;
  capture: CaptureRecord | null;
}

/** Remembers which changes existing views track, and nothing else. */
export function recordCaptures(stateSchema: string, records: CaptureOfView[]): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.view_state AS s
  (schema_name, view_name, last_tick, capture)
SELECT r.schema_name,
       r.view_name,
       CASE WHEN c.relispopulated THEN pg_catalog.clock_timestamp() END,
       r.capture
FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS r(schema_name text, view_name text, capture jsonb)
JOIN pg_catalog.pg_namespace n ON n.nspname = r.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = r.view_name
ON CONFLICT (schema_name, view_name) DO UPDATE
SET capture = excluded.capture,
    ${KEEPS_SIGNATURE}`,
    values: [
      JSON.stringify(
        records.map(({ view, capture }) => ({
          schema_name: view.schema,
          view_name: view.name,
          capture,
        })),
      ),
    ],
  };
}

export function deleteKnownView(stateSchema: string, view: QualifiedName): SqlStatement {
  return {
    text: `DELETE FROM ${quoteIdentifier(stateSchema)}.view_state
WHERE schema_name = $1 AND view_name = $2`,
    values: [view.schema, view.name],
  };
}

/** Moves state and history to a view's new name. */
export function renameKnownView(
  stateSchema: string,
  from: QualifiedName,
  to: QualifiedName,
): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH history AS (
  UPDATE ${schema}.refresh_history SET schema_name = $3, view_name = $4
  WHERE schema_name = $1 AND view_name = $2
)
UPDATE ${schema}.view_state SET schema_name = $3, view_name = $4
WHERE schema_name = $1 AND view_name = $2`,
    values: [from.schema, from.name, to.schema, to.name],
  };
}

/** Remembers a view's previous name, after the hash of what was declared. */
export function recordRename(
  stateSchema: string,
  from: QualifiedName,
  to: QualifiedName,
): SqlStatement {
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.view_state
SET declared_hash = pg_catalog.concat(pg_catalog.split_part(declared_hash, ' ', 1), ' ', $3::text)
WHERE schema_name = $1 AND view_name = $2`,
    values: [to.schema, to.name, displayName(from)],
  };
}

/** For all processes. A view without a state row gets one. */
export function setPaused(
  stateSchema: string,
  view: QualifiedName,
  isPaused: boolean,
): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.view_state AS s (schema_name, view_name, last_tick, paused_at)
SELECT $1, $2, pg_catalog.clock_timestamp(), CASE WHEN $3::boolean THEN pg_catalog.clock_timestamp() END
ON CONFLICT (schema_name, view_name) DO UPDATE
SET paused_at = CASE WHEN $3::boolean THEN coalesce(s.paused_at, excluded.paused_at) END`,
    values: [view.schema, view.name, isPaused],
  };
}
