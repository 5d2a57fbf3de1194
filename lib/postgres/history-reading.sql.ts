import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/** One run of the history. Instants are milliseconds since the epoch. */
export interface HistoryRow {
  run_id: string;
  trigger: string;
  tick: number | null;
  attempt: number;
  outcome: string;
  mode: string | null;
  mode_reason: string | null;
  inserted_count: number | null;
  deleted_count: number | null;
  started_at: number;
  finished_at: number;
  duration_ms: number;
  error_code: string | null;
  error_message: string | null;
  host: string;
}

/** The last runs of a view, newest first. What is ahead of the clock was before it went back. Both are found along the index. */
export function selectHistory(
  stateSchema: string,
  view: QualifiedName,
  limit: number,
): SqlStatement {
  const runs = (isAhead: boolean): string => `(
    SELECT h.*, ${isAhead} AS is_ahead
    FROM ${quoteIdentifier(stateSchema)}.refresh_history h
    WHERE h.schema_name = $1
      AND h.view_name = $2
      AND h.started_at ${isAhead ? '>' : '<='} (SELECT clock.now FROM clock)
    ORDER BY h.started_at DESC, h.finished_at DESC
    LIMIT $3
  )`;
  return {
    text: `WITH clock AS MATERIALIZED (
  SELECT pg_catalog.clock_timestamp() AS now
)
SELECT h.run_id::text AS run_id,
       h.trigger,
       ${epochMs('h.tick')} AS tick,
       h.attempt,
       h.outcome,
       h.mode,
       h.mode_reason,
       h.inserted_count::float8 AS inserted_count,
       h.deleted_count::float8 AS deleted_count,
       ${epochMs('h.started_at')} AS started_at,
       ${epochMs('h.finished_at')} AS finished_at,
       h.duration_ms,
       h.error_code,
       h.error_message,
       h.host
FROM (
  ${runs(false)}
  UNION ALL
  ${runs(true)}
) AS h
ORDER BY h.is_ahead, h.started_at DESC, h.finished_at DESC
LIMIT $3`,
    values: [view.schema, view.name, limit],
  };
}
