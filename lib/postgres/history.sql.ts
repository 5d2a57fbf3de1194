import { hostname } from 'node:os';
import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, fromEpochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/** Which process did a run, for people who read the history. */
const HOST = `${hostname()}:${process.pid}`;

/** What is known of a run whatever becomes of it. */
export interface RunRecord {
  runId: string;
  view: QualifiedName;
  trigger: string;
  tick?: Date;
  /** Milliseconds since the epoch, by the database's clock. */
  startedAt: number;
}

export interface SuccessRecord extends RunRecord {
  mode: string;
  modeReason: string;
  /** `pg_snapshot` in text form. */
  snapshot: string;
}

export interface FinishedRow {
  /** Milliseconds since the epoch. */
  finished_at: number;
  duration_ms: number;
}

/**
 * Writes the state and the history of a success in one statement. It belongs into the transaction of
 * the refresh: then a recorded success means committed data, and the other way round.
 */
export function recordSuccess(stateSchema: string, run: SuccessRecord): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH run AS MATERIALIZED (
  SELECT $1::uuid AS run_id,
         $2::text AS schema_name,
         $3::text AS view_name,
         $4::timestamptz AS tick,
         ${fromEpochMs('$5')} AS started_at,
         pg_catalog.clock_timestamp() AS finished_at
), state AS (
  INSERT INTO ${schema}.view_state AS s
    (schema_name, view_name, last_tick, last_success_at, last_run_id, watermark)
  SELECT schema_name, view_name, coalesce(tick, started_at), finished_at, run_id, $6::pg_snapshot
  FROM run
  ON CONFLICT (schema_name, view_name) DO UPDATE
  SET last_tick = CASE
        WHEN $4::timestamptz IS NULL THEN coalesce(s.last_tick, excluded.last_tick)
        ELSE greatest(s.last_tick, excluded.last_tick)
      END,
      last_success_at = excluded.last_success_at,
      last_run_id = excluded.last_run_id,
      watermark = excluded.watermark,
      failure_count = 0,
      not_before = NULL
)
INSERT INTO ${schema}.refresh_history
  (run_id, schema_name, view_name, tick, started_at, finished_at, outcome, trigger, mode, mode_reason, host)
SELECT run.*, 'refreshed', $7, $8, $9, $10
FROM run
RETURNING ${epochMs('finished_at')} AS finished_at, duration_ms`,
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
    ],
  };
}

export interface FailureRecord extends RunRecord {
  outcome: 'failed' | 'timeout' | 'cancelled';
  errorCode: string | null;
  /** Without PostgreSQL's DETAIL, which holds row data. */
  errorMessage: string;
  /** Schedules stay away from the view for this time times the failures in a row; 0 for not at all. */
  backoffMs: number;
}

/** No more than this many failures count for the time that schedules stay away. */
const MAX_BACKOFF_STEPS = 20;

/** Writes a failure, after the rollback of the refresh. A cancelled run says nothing of the view, so its state stays. */
export function recordFailure(stateSchema: string, run: FailureRecord): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH run AS MATERIALIZED (
  SELECT $1::uuid AS run_id,
         $2::text AS schema_name,
         $3::text AS view_name,
         $4::timestamptz AS tick,
         ${fromEpochMs('$5')} AS started_at,
         pg_catalog.clock_timestamp() AS finished_at,
         $6::text AS outcome,
         $7::text AS error_code,
         nullif($8::float8, 0) * interval '1 millisecond' AS backoff
), state AS (
  INSERT INTO ${schema}.view_state AS s
    (schema_name, view_name, failure_count, last_failure_at, last_error_code, not_before)
  SELECT schema_name, view_name, 1, finished_at, error_code, finished_at + backoff
  FROM run
  WHERE outcome <> 'cancelled'
  ON CONFLICT (schema_name, view_name) DO UPDATE
  SET failure_count = s.failure_count + 1,
      last_failure_at = excluded.last_failure_at,
      last_error_code = excluded.last_error_code,
      not_before = coalesce(
        excluded.last_failure_at
          + (excluded.not_before - excluded.last_failure_at) * least(s.failure_count + 1, ${MAX_BACKOFF_STEPS}),
        s.not_before
      )
)
INSERT INTO ${schema}.refresh_history
  (run_id, schema_name, view_name, tick, started_at, finished_at, outcome, error_code, trigger, error_message, host)
SELECT run_id, schema_name, view_name, tick, started_at, finished_at, outcome, error_code, $9, $10, $11
FROM run`,
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
      run.errorMessage,
      HOST,
    ],
  };
}

/** The row of a run that has been committed; none when it never was. */
export function selectRun(stateSchema: string, runId: string): SqlStatement {
  return {
    text: `SELECT ${epochMs('finished_at')} AS finished_at, duration_ms
FROM ${quoteIdentifier(stateSchema)}.refresh_history
WHERE run_id = $1 AND outcome = 'refreshed'`,
    values: [runId],
  };
}
