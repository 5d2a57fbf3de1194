import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { AHEAD_UNTIL, epochMs, IS_BACKING_OFF, IS_SUCCESS_PAST, past } from './instant.js';
import { lastFailure, lastRuns } from './last-runs.sql.js';
import { SEEN_POSITION } from './replica.sql.js';
import { SERVER_VERSION } from './server.sql.js';
import type { SqlStatement } from './sql-statement.js';

/**
 * Everything that is known about one view, except its size. Times are milliseconds since the epoch.
 */
export interface ViewStatusRow {
  now: number;
  /** Whether the server is a standby, which does not have the primary's locks. */
  is_standby: boolean;
  /** A position in the WAL behind the commit of all that the statement has seen; `null` where no standby is connected. */
  lsn: string | null;
  is_found: boolean;
  is_populated: boolean | null;
  has_usable_unique_index: boolean;
  key_may_have_nulls: boolean;
  row_count_estimate: number | null;
  known_since: number | null;
  is_paused: boolean | null;
  paused_at: number | null;
  not_before: number | null;
  failure_count: number | null;
  last_success_at: number | null;
  last_started_at: number | null;
  /** When the rows were last found to be what a refresh would produce. */
  last_unchanged_at: number | null;
  last_run_id: string | null;
  last_duration_ms: number | null;
  last_mode: string | null;
  mean_duration_ms: number | null;
  last_failure_at: number | null;
  last_error_code: string | null;
  last_error_message: string | null;
  last_failure_outcome: string | null;
  /** Until when a stored time is ahead of the clock and counts as absent; `null` for none. */
  ahead_until: number | null;
  /** Rows of the change log, the same for all views; left out unless requested. */
  log_row_count?: number;
  /** Its size with its indexes, in bytes. */
  log_bytes?: number;
}

/** How many of the last successes the mean duration covers. */
const MEAN_OF = 20;

/**
 * Keeps the planner from merging a subquery with others. Otherwise it would query pg_stats for each view before it
 * looks for its keys, which added half of the total time.
 */
const AS_A_WHOLE = 'OFFSET 0';

/**
 * PostgreSQL's `is_usable_unique_index` (matview.c): immediate, valid, on plain columns, without a
 * predicate. A concurrent refresh joins on the columns of all of these.
 */
export const IS_USABLE_KEY = `i.indisunique
    AND i.indimmediate
    AND i.indisvalid
    AND i.indpred IS NULL
    AND i.indexprs IS NULL`;

/** The same for an index `i` of the relation `c`. */
export const USABLE_UNIQUE_INDEX = `i.indrelid = c.oid
    AND ${IS_USABLE_KEY}`;

/**
 * The status of all given views in one query, one row each in the given order, including views that
 * are not in the database. It reads only catalogs and takes no lock on a view, so it answers even
 * during a blocking refresh.
 */
export function selectViewStatuses(
  stateSchema: string,
  views: QualifiedName[],
  { withLog }: { withLog: boolean } = { withLog: false },
): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  const log = `${schema}.change_log`;
  const history = `${schema}.refresh_history`;
  return {
    text: `SELECT ${epochMs('pg_catalog.clock_timestamp()')} AS now,
       pg_catalog.pg_is_in_recovery() AS is_standby,
       ${SEEN_POSITION} AS lsn,
       c.oid IS NOT NULL AS is_found,
       c.relispopulated AS is_populated,
       EXISTS (
         SELECT FROM pg_catalog.pg_index i WHERE ${USABLE_UNIQUE_INDEX}
       ) AS has_usable_unique_index,
       EXISTS (
         SELECT
         FROM pg_catalog.pg_index i
         CROSS JOIN LATERAL (
           SELECT a.attname
           FROM pg_catalog.pg_attribute a
           WHERE a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
           ${AS_A_WHOLE}
         ) AS k
         WHERE ${USABLE_UNIQUE_INDEX}
           AND EXISTS (
             SELECT
             FROM pg_catalog.pg_stats t
             WHERE t.schemaname = n.nspname
               AND t.tablename = c.relname
               AND t.attname = k.attname
               AND t.null_frac > 0
             ${AS_A_WHOLE}
           )
       ) AS key_may_have_nulls,
       nullif(c.reltuples, ${NEVER_ANALYSED}) AS row_count_estimate,
       ${epochMs(past('s.known_since'))} AS known_since,
       s.paused_at IS NOT NULL AS is_paused,
       ${epochMs(past('s.paused_at'))} AS paused_at,
       ${epochMs(`CASE WHEN ${IS_BACKING_OFF} THEN s.not_before END`)} AS not_before,
       s.failure_count,
       CASE WHEN ${IS_SUCCESS_PAST} THEN ${epochMs('s.last_success_at')} END AS last_success_at,
       CASE
         WHEN ${IS_SUCCESS_PAST}
         THEN ${epochMs('coalesce(s.last_started_at, success.started_at, s.last_success_at)')}
       END AS last_started_at,
       ${epochMs(past('s.last_unchanged_at'))} AS last_unchanged_at,
       CASE WHEN ${IS_SUCCESS_PAST} THEN s.last_run_id::text END AS last_run_id,
       CASE WHEN success.started_at <= success.finished_at THEN success.duration_ms END AS last_duration_ms,
       success.mode AS last_mode,
       mean.duration_ms AS mean_duration_ms,
       ${epochMs(past('s.last_failure_at'))} AS last_failure_at,
       s.last_error_code,
       failure.error_message AS last_error_message,
       failure.outcome AS last_failure_outcome,
       ${epochMs(AHEAD_UNTIL)} AS ahead_until${
         withLog
           ? `,
       log.row_count AS log_row_count,
       log.byte_count AS log_bytes`
           : ''
       }
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
) WITH ORDINALITY AS w(schema_name, view_name, position)
LEFT JOIN (
  pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
) ON n.nspname = w.schema_name AND c.relname = w.view_name AND c.relkind = 'm'
LEFT JOIN ${schema}.view_state s ON s.schema_name = w.schema_name AND s.view_name = w.view_name
LEFT JOIN ${history} success ON success.run_id = s.last_run_id
LEFT JOIN LATERAL (
  ${lastFailure({ history, of: 'w', columns: 'h.error_message, h.outcome, h.started_at' })}
) AS failure ON s.last_failure_at IS NOT NULL
LEFT JOIN LATERAL (
  SELECT avg(last.duration_ms) AS duration_ms
  FROM (${lastRuns({
    ...{ history, of: 'w', outcome: "'refreshed'", columns: 'h.duration_ms' },
    ...{ limit: MEAN_OF, isTimed: true },
  })}) AS last
) AS mean ON true
${
  withLog
    ? `CROSS JOIN (
  SELECT count(*)::float8 AS row_count,
         pg_catalog.pg_total_relation_size($3::pg_catalog.regclass)::float8 AS byte_count
  FROM ${log}
) AS log
`
    : ''
}ORDER BY w.position`,
    values: withLog ? [...namesOf(views), log] : namesOf(views),
  };
}

export interface NullKeysRow {
  /** `null` if there are none. */
  columns: string[] | null;
}

/** The columns of a view's unique keys in which its last ANALYZE found NULLs. */
export function selectNullKeys(view: QualifiedName): SqlStatement {
  return {
    text: `SELECT array_agg(DISTINCT a.attname::text) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index i ON ${USABLE_UNIQUE_INDEX}
JOIN pg_catalog.pg_attribute a
  ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey[0:i.indnkeyatts - 1])
JOIN pg_catalog.pg_stats t
  ON t.schemaname = n.nspname AND t.tablename = c.relname AND t.attname = a.attname
WHERE n.nspname = $1
  AND c.relname = $2
  AND t.null_frac > 0`,
    values: [view.schema, view.name],
  };
}

/** The value of pg_class.reltuples before the first ANALYZE. */
export const NEVER_ANALYSED = `CASE
         WHEN ${SERVER_VERSION} < 140000 THEN 0
         ELSE -1
       END`;

export interface ViewSizeRow {
  /** With indexes and TOAST; `null` if the view doesn't exist or is locked against readers. */
  size_bytes: number | null;
  /** Of its indexes only; `null` in the same cases. */
  index_bytes: number | null;
}

/**
 * The sizes of all given views, in the given order. Reading a size waits for a lock against readers,
 * so such a view is left out. If a view is locked at that very moment, the statement waits.
 */
export function selectViewSizes(views: QualifiedName[]): SqlStatement {
  return {
    text: `WITH locked AS MATERIALIZED (
  SELECT l.relation
  FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation'
    AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
)
SELECT CASE
         WHEN c.oid NOT IN (SELECT locked.relation FROM locked)
         THEN pg_catalog.pg_total_relation_size(c.oid)::float8
       END AS size_bytes,
       CASE
         WHEN c.oid NOT IN (SELECT locked.relation FROM locked)
         THEN pg_catalog.pg_indexes_size(c.oid)::float8
       END AS index_bytes
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
) WITH ORDINALITY AS w(schema_name, view_name, position)
LEFT JOIN (
  pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
) ON n.nspname = w.schema_name AND c.relname = w.view_name AND c.relkind = 'm'
ORDER BY w.position`,
    values: namesOf(views),
  };
}
