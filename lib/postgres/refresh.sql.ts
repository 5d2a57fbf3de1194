import { CATALOG_PLANS } from './function-plans.js';
import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import { AHEAD_UNTIL, epochMs, IS_BACKING_OFF, IS_SUCCESS_PAST, PAST_TICK } from './instant.js';
import type { SqlStatement } from './sql-statement.js';
import { USABLE_UNIQUE_INDEX } from './status.sql.js';
import { storedFunction } from './stored-function.sql.js';

/** A tick may start this much early by the database's clock, because timers are not exact. */
export const EARLY_TOLERANCE = '250 ms';

/**
 * What is committed now, without the transaction's own writes. `pg_current_snapshot` includes those, past and
 * future, as soon as a later transaction has ended. So in a transaction that has written, only what is older
 * than all running transactions counts as seen.
 */
export const SNAPSHOT = `CASE
         WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NULL
         THEN pg_catalog.pg_current_snapshot()::text
         ELSE pg_catalog.format('%1$s:%1$s:', pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()))
       END`;

/** The operation's name in traces. */
export const REFRESH_OPERATION = 'REFRESH MATERIALIZED VIEW';

/** Everything that decides whether and how to refresh, read under the refresh lock. */
export interface RefreshPreconditionRow {
  /** Milliseconds since the epoch. */
  started_at: number;
  backend_pid: number;
  /** `pg_snapshot` in text form: what this refresh has certainly seen. */
  snapshot: string;
  /** `null` when no relation has the name. */
  relation_kind: string | null;
  is_populated: boolean | null;
  has_usable_unique_index: boolean;
  /** The planner's estimate; negative before the first ANALYZE. */
  row_count_estimate: number | null;
  /** Counts that may include this connection's earlier transactions; see `recordSuccess`. */
  inserted_before: string | null;
  deleted_before: string | null;
  is_paused: boolean | null;
  /** Whether the last success is younger than `minInterval`. */
  is_too_soon: boolean | null;
  failure_count: number | null;
  /** The last success; its fields are `null` if there was none, or if it is ahead of the clock. */
  last_run_id: string | null;
  last_started_at: number | null;
  last_success_at: number | null;
  last_mode: string | null;
  last_mode_reason: string | null;
  /** The answers about a tick are `null` if there is no tick or no state yet. */
  is_tick_done: boolean | null;
  is_tick_early: boolean | null;
  is_backing_off: boolean | null;
  /** Until when a stored time is ahead of the clock and counts as absent; `null` for none. */
  ahead_until: number | null;
}

/**
 * The time up to which this transaction sees commits. In a caller's transaction with one snapshot for
 * everything, a refresh sees nothing newer than the transaction's start.
 */
const SEEN_UNTIL = `CASE pg_catalog.current_setting('transaction_isolation')
         WHEN 'read committed' THEN pg_catalog.clock_timestamp()
         ELSE pg_catalog.now()
       END`;

/**
 * Reads the conditions of a refresh. It is a function, so that a session plans it once: as a statement it took four
 * times as long for each refresh.
 */
export const REFRESH_CONDITIONS = storedFunction('refresh_conditions', {
  head: `(
  wanted_schema text, wanted_view text, tick timestamptz, min_interval_ms float8
)
RETURNS TABLE (
  started_at float8, backend_pid int, snapshot text, relation_kind text, is_populated boolean,
  has_usable_unique_index boolean, row_count_estimate float8, inserted_before bigint, deleted_before bigint,
  is_paused boolean, is_too_soon boolean, failure_count int, last_run_id uuid, last_started_at float8,
  last_success_at float8, last_mode text, last_mode_reason text, is_tick_done boolean, is_tick_early boolean,
  is_backing_off boolean, ahead_until float8
)
LANGUAGE plpgsql
STABLE
${CATALOG_PLANS}`,
  body: (stateSchema) => `
#variable_conflict use_column
BEGIN
RETURN QUERY
SELECT ${epochMs(SEEN_UNTIL)} AS started_at,
       pg_catalog.pg_backend_pid() AS backend_pid,
       ${SNAPSHOT} AS snapshot,
       c.relkind::text AS relation_kind,
       c.relispopulated AS is_populated,
       EXISTS (
         SELECT
         FROM pg_catalog.pg_index i
         WHERE ${USABLE_UNIQUE_INDEX}
       ) AS has_usable_unique_index,
       c.reltuples::float8 AS row_count_estimate,
       pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted_before,
       pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted_before,
       s.paused_at IS NOT NULL AS is_paused,
       ${IS_SUCCESS_PAST} AND s.last_success_at + min_interval_ms * interval '1 millisecond' > pg_catalog.clock_timestamp() AS is_too_soon,
       s.failure_count,
       CASE WHEN ${IS_SUCCESS_PAST} THEN s.last_run_id END,
       CASE WHEN ${IS_SUCCESS_PAST} THEN ${epochMs('s.last_started_at')} END AS last_started_at,
       CASE WHEN ${IS_SUCCESS_PAST} THEN ${epochMs('s.last_success_at')} END AS last_success_at,
       s.last_mode,
       s.last_mode_reason,
       ${PAST_TICK} >= tick AS is_tick_done,
       tick > pg_catalog.clock_timestamp() + interval '${EARLY_TOLERANCE}' AS is_tick_early,
       ${IS_BACKING_OFF} AS is_backing_off,
       ${epochMs(AHEAD_UNTIL)} AS ahead_until
FROM (VALUES (wanted_schema, wanted_view)) AS wanted(schema_name, view_name)
LEFT JOIN (
  pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
) ON n.nspname = wanted.schema_name AND c.relname = wanted.view_name
LEFT JOIN ${quoteIdentifier(stateSchema)}.view_state s
  ON s.schema_name = wanted.schema_name AND s.view_name = wanted.view_name;
END
`,
});

/**
 * A separate statement, after the one that takes the lock: a single statement would read the state
 * as it was before the wait.
 */
export function selectRefreshPreconditions(
  stateSchema: string,
  view: QualifiedName,
  { tick, minIntervalMs = 0 }: { tick?: Date; minIntervalMs?: number } = {},
): SqlStatement {
  return {
    text: `SELECT * FROM ${quoteIdentifier(stateSchema)}.${REFRESH_CONDITIONS.name}($1, $2, $3, $4)`,
    values: [view.schema, view.name, tick ?? null, minIntervalMs],
  };
}

export function refreshMaterializedView(
  view: QualifiedName,
  { concurrently = false, withData = true }: { concurrently?: boolean; withData?: boolean } = {},
): SqlStatement {
  const clauses = [
    'REFRESH MATERIALIZED VIEW',
    concurrently && 'CONCURRENTLY',
    quoteQualifiedName(view),
    !withData && 'WITH NO DATA',
  ];
  return { text: clauses.filter(Boolean).join(' '), hasApplicationText: true };
}
