import { hostname } from 'node:os';
import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, fromEpochMs, past, PAST_TICK } from './instant.js';
import { refreshKind } from './rounds.sql.js';
import { signatureAfterRefresh } from './signature.sql.js';
import type { SqlStatement } from './sql-statement.js';

/** Which process this is, for people who read the library's tables. */
export const HOST = `${hostname()}:${process.pid}`;

/** What is known about a run, whatever its outcome. */
export interface RunRecord {
  runId: string;
  view: QualifiedName;
  trigger: string;
  tick?: Date;
  /** Which attempt at the same refresh this is, from 1 on. */
  attempt: number;
  /** Milliseconds since the epoch, by the database's clock. */
  startedAt: number;
}

export interface SuccessRecord extends RunRecord {
  mode: string;
  modeReason: string;
  /** `pg_snapshot` in text form. */
  snapshot: string;
  /**
   * The signature of the sources, read with the snapshot or later; `null` if it can't tell
   * anything.
   */
  signature: string | null;
  /**
   * When the oldest write that it brought was made, as readers of the view count it; absent if unknown.
   * Milliseconds since the epoch.
   */
  writtenSince?: number;
  /** The server's counts before the refresh; absent for a view that this transaction created. */
  countsBefore?: { inserted: string | null; deleted: string | null };
  /** How many refreshes in a row each wrote what triggered the next: see `selectRounds`. @default 0 */
  round?: number;
  /** Whether the view was emptied: such a success serves no caller. */
  isEmptied?: boolean;
}

export interface FinishedRow {
  /** Milliseconds since the epoch. */
  finished_at: number;
  duration_ms: number;
  /** Rows that the refresh inserted and deleted; `null` if the server doesn't count. */
  inserted_count: string | null;
  deleted_count: string | null;
}

/**
 * Writes the state and the history of a success in one statement. It must run in the transaction of the
 * refresh: then a recorded success means committed rows, and committed rows mean a recorded success.
 * For views that read this one, a refresh is a change, but materialized views have no triggers to log
 * it, so this statement does. The change is as old as the oldest write that it brought.
 *
 * The server's counters of the current transaction say what the transaction did to the view. They may
 * include earlier transactions of the connection, because the server flushes them at most once a second.
 */
export function recordSuccess(stateSchema: string, run: SuccessRecord): SqlStatement {
  return {
    text: successText(stateSchema),
    values: [
      run.runId,
      run.view.schema,
      run.view.name,
      run.tick ?? null,
      run.startedAt,
      run.snapshot,
      run.trigger,
      run.mode,
      run.modeReason,
      HOST,
      run.attempt,
      run.isEmptied ?? false,
      run.signature,
      run.countsBefore?.inserted ?? 0,
      run.countsBefore?.deleted ?? 0,
      run.writtenSince ?? 0,
      run.round ?? 0,
    ],
  };
}

/** Its text, which a pg_cron job runs too. */
export function successText(stateSchema: string): string {
  const schema = quoteIdentifier(stateSchema);
  return `WITH run AS MATERIALIZED (
  SELECT $1::uuid AS run_id,
         $2::text AS schema_name,
         $3::text AS view_name,
         $4::timestamptz AS tick,
         ${fromEpochMs('$5')} AS started_at,
         pg_catalog.clock_timestamp() AS finished_at,
         $12::boolean AS is_emptied,
         (
           SELECT c.oid
           FROM pg_catalog.pg_class c
           JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
           WHERE n.nspname = $2 AND c.relname = $3
         ) AS view_oid
), state AS (
  INSERT INTO ${schema}.view_state AS s
    (schema_name, view_name, last_tick, last_started_at, last_success_at, last_run_id, watermark, source_signature, last_mode, last_mode_reason)
  SELECT schema_name,
         view_name,
         coalesce(tick, started_at),
         CASE WHEN NOT is_emptied THEN started_at END,
         CASE WHEN NOT is_emptied THEN finished_at END,
         CASE WHEN NOT is_emptied THEN run_id END,
         $6::pg_snapshot,
         CASE WHEN NOT is_emptied THEN ${signatureAfterRefresh('$13::text', 'view_oid')} END,
         CASE WHEN NOT is_emptied THEN $8::text END,
         CASE WHEN NOT is_emptied THEN $9::text END
  FROM run
  ON CONFLICT (schema_name, view_name) DO UPDATE
  SET last_tick = CASE
        WHEN $4::timestamptz IS NULL THEN coalesce(${PAST_TICK}, excluded.last_tick)
        ELSE greatest(${PAST_TICK}, excluded.last_tick)
      END,
      last_unchanged_at = ${past('s.last_unchanged_at')},
      last_started_at = excluded.last_started_at,
      last_success_at = excluded.last_success_at,
      last_run_id = excluded.last_run_id,
      watermark = excluded.watermark,
      source_signature = CASE WHEN s.capture IS NOT NULL THEN excluded.source_signature END,
      last_mode = excluded.last_mode,
      last_mode_reason = excluded.last_mode_reason,
      failure_count = 0,
      not_before = NULL
), signal AS (
  INSERT INTO ${schema}.change_log (source, kind, changed_at)
  SELECT view_oid, ${refreshKind('$17::int')}, ${fromEpochMs('$16')}
  FROM run
  WHERE view_oid IS NOT NULL AND EXISTS (SELECT FROM ${schema}.view_state r WHERE r.capture IS NOT NULL)
)
INSERT INTO ${schema}.refresh_history
  (run_id, schema_name, view_name, tick, started_at, finished_at, outcome, trigger, mode, mode_reason, host, attempt, inserted_count, deleted_count)
SELECT run_id, schema_name, view_name, tick, started_at, finished_at, 'refreshed', $7, $8, $9, $10, $11,
       pg_catalog.pg_stat_get_xact_tuples_inserted(view_oid) - $14::bigint,
       pg_catalog.pg_stat_get_xact_tuples_deleted(view_oid) - $15::bigint
FROM run
RETURNING ${epochMs('finished_at')} AS finished_at, duration_ms, inserted_count, deleted_count`;
}

/**
 * Records that a view was checked and needed no refresh. Its watermark is from the beginning of the
 * transaction, before anything was checked. Only ticks are recorded in the history, because their absence
 * would be noticed; other checks may be frequent.
 */
export function recordUnchanged(stateSchema: string, run: RunRecord): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  if (run.tick === undefined) {
    return {
      text: `UPDATE ${schema}.view_state
SET last_unchanged_at = pg_catalog.transaction_timestamp()
WHERE schema_name = $1 AND view_name = $2`,
      values: [run.view.schema, run.view.name],
    };
  }
  return {
    text: `WITH state AS (
  UPDATE ${schema}.view_state AS s
  SET last_tick = greatest(${PAST_TICK}, $4::timestamptz),
      last_unchanged_at = pg_catalog.transaction_timestamp()
  WHERE schema_name = $2 AND view_name = $3
)
INSERT INTO ${schema}.refresh_history
  (run_id, schema_name, view_name, tick, started_at, finished_at, outcome, trigger, mode_reason, host, attempt)
SELECT $1, $2, $3, $4, ${fromEpochMs('$5')}, pg_catalog.clock_timestamp(), 'skipped', $6, 'unchanged', $7, $8`,
    values: [
      run.runId,
      run.view.schema,
      run.view.name,
      run.tick,
      run.startedAt,
      run.trigger,
      HOST,
      run.attempt,
    ],
  };
}

export interface FailureRecord extends RunRecord {
  outcome: 'failed' | 'timeout' | 'cancelled';
  errorCode: string | null;
  /** Without PostgreSQL's DETAIL, which holds row data. */
  errorMessage: string;
  /** Whether the refresh is not retried at once. Only then does it count as a failure of the view. */
  isFinal: boolean;
  /** Whether no process may try the tick again. */
  endsTick: boolean;
  /**
   * Scheduled refreshes back off for this time, multiplied by the number of failures in a row; 0 for
   * no backoff.
   */
  backoffMs: number;
}

/** The maximum number of failures that count for the backoff. */
const MAX_BACKOFF_STEPS = 20;

/**
 * Records a failure, after the rollback of the refresh. A cancelled run says nothing about the view.
 */
export function recordFailure(stateSchema: string, run: FailureRecord): SqlStatement {
  return {
    text: failureText(stateSchema),
    values: [
      run.runId,
      run.view.schema,
      run.view.name,
      run.tick ?? null,
      run.startedAt,
      run.outcome,
      run.errorCode,
      run.backoffMs,
      run.trigger,
      run.errorMessage.slice(0, MAX_MESSAGE_LENGTH),
      HOST,
      run.isFinal,
      run.endsTick,
      run.attempt,
    ],
  };
}

/** Its text, which a pg_cron job runs too. */
export function failureText(stateSchema: string): string {
  const schema = quoteIdentifier(stateSchema);
  return `WITH run AS MATERIALIZED (
  SELECT $1::uuid AS run_id,
         $2::text AS schema_name,
         $3::text AS view_name,
         $4::timestamptz AS tick,
         ${fromEpochMs('$5')} AS started_at,
         pg_catalog.clock_timestamp() AS finished_at,
         $6::text AS outcome,
         $7::text AS error_code,
         nullif($8::float8, 0) * interval '1 millisecond' AS backoff,
         $12::boolean AND $6::text <> 'cancelled' AS counts,
         CASE WHEN $13::boolean THEN $4::timestamptz END AS last_tick
), state AS (
  INSERT INTO ${schema}.view_state AS s
    (schema_name, view_name, last_tick, failure_count, last_failure_at, last_error_code, not_before)
  SELECT schema_name,
         view_name,
         last_tick,
         counts::int,
         CASE WHEN counts THEN finished_at END,
         CASE WHEN counts THEN error_code END,
         CASE WHEN counts THEN finished_at + backoff END
  FROM run
  WHERE counts OR last_tick IS NOT NULL
  ON CONFLICT (schema_name, view_name) DO UPDATE
  SET last_tick = CASE
        WHEN excluded.last_tick IS NULL THEN s.last_tick
        ELSE greatest(${PAST_TICK}, excluded.last_tick)
      END,
      failure_count = s.failure_count + excluded.failure_count,
      last_failure_at = coalesce(excluded.last_failure_at, s.last_failure_at),
      last_error_code = coalesce(excluded.last_error_code, s.last_error_code),
      not_before = coalesce(
        excluded.last_failure_at
          + (excluded.not_before - excluded.last_failure_at) * least(s.failure_count + 1, ${MAX_BACKOFF_STEPS}),
        s.not_before
      )
)
INSERT INTO ${schema}.refresh_history
  (run_id, schema_name, view_name, tick, started_at, finished_at, outcome, error_code, trigger, error_message, host, attempt)
SELECT run_id, schema_name, view_name, tick, started_at, finished_at, outcome, error_code, $9, $10, $11, $14
FROM run`;
}

/** A message may contain a query's text. */
export const MAX_MESSAGE_LENGTH = 2_000;

/** The row of a committed run; none if the run was never committed. */
export function selectRun(stateSchema: string, runId: string): SqlStatement {
  return {
    text: `SELECT ${epochMs('finished_at')} AS finished_at, duration_ms, inserted_count, deleted_count
FROM ${quoteIdentifier(stateSchema)}.refresh_history
WHERE run_id = $1 AND outcome = 'refreshed'`,
    values: [runId],
  };
}
