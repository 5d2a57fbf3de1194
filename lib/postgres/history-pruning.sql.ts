import { quoteIdentifier } from './identifier.js';
import { epochMs, fromEpochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/** How much of the history of one view is kept. */
export interface HistoryLimits {
  maxAgeMs: number;
  maxCount: number;
}

/** What of one view's history is older than it needs to be. */
export interface PrunableRow {
  schema_name: string;
  view_name: string;
  /** Whether this is about its ticks that were left out, or about all else. */
  is_skipped: boolean;
  /** Runs that started before this are no longer wanted. Milliseconds since the epoch. */
  cutoff: number;
  /** The last success and the last failure, which are kept whatever their age. */
  kept_runs: string[];
}

/**
 * Where the history of each view is cut, declared or not. Ticks that were left out are counted apart: they would
 * push the runs out that tell how long a refresh takes. Found once and not with each batch, because finding it reads
 * the whole history. What is ahead of the clock is left alone, and pushes nothing out.
 */
export function selectPrunable(
  stateSchema: string,
  { maxAgeMs, maxCount }: HistoryLimits,
): SqlStatement {
  const history = `${quoteIdentifier(stateSchema)}.refresh_history`;
  const lastRun = (condition: string): string => `SELECT run_id FROM (
             SELECT h.run_id FROM ${history} h
             WHERE h.schema_name = v.schema_name AND h.view_name = v.view_name AND ${condition}
               AND h.started_at <= pg_catalog.clock_timestamp()
             ORDER BY h.started_at DESC LIMIT 1
           ) AS last`;
  return {
    text: `SELECT v.schema_name,
       v.view_name,
       v.is_skipped,
       greatest(
         ${epochMs("pg_catalog.clock_timestamp() - $1::float8 * interval '1 millisecond'")},
         ${epochMs('surplus.started_at')} + 1
       ) AS cutoff,
       ARRAY(
         SELECT kept.run_id::text FROM (
           ${lastRun("h.outcome = 'refreshed'")}
           UNION ALL
           ${lastRun("h.outcome IN ('failed', 'timeout')")}
         ) AS kept
       ) AS kept_runs
FROM (
  SELECT DISTINCT schema_name, view_name, outcome = 'skipped' AS is_skipped FROM ${history}
) AS v
LEFT JOIN LATERAL (
  SELECT h.started_at
  FROM ${history} h
  WHERE h.schema_name = v.schema_name
    AND h.view_name = v.view_name
    AND (h.outcome = 'skipped') = v.is_skipped
    AND h.started_at <= pg_catalog.clock_timestamp()
  ORDER BY h.started_at DESC
  OFFSET $2::bigint LIMIT 1
) AS surplus ON true`,
    values: [maxAgeMs, maxCount],
  };
}

export interface PrunedRow {
  pruned_count: number;
}

/**
 * Deletes some of what is no longer wanted. Rows that another process is deleting are passed over, so
 * that two do not wait for each other.
 */
export function pruneHistory(
  stateSchema: string,
  prunable: PrunableRow[],
  batchSize: number,
): SqlStatement {
  const history = `${quoteIdentifier(stateSchema)}.refresh_history`;
  return {
    text: `WITH doomed AS MATERIALIZED (
  SELECT h.run_id
  FROM ROWS FROM (
    pg_catalog.unnest($1::text[]),
    pg_catalog.unnest($2::text[]),
    pg_catalog.unnest($3::boolean[]),
    pg_catalog.unnest($4::float8[])
  ) AS v(schema_name, view_name, is_skipped, cutoff)
  JOIN ${history} h
    ON h.schema_name = v.schema_name
   AND h.view_name = v.view_name
   AND (h.outcome = 'skipped') = v.is_skipped
   AND h.started_at < ${fromEpochMs('v.cutoff')}
  WHERE h.run_id <> ALL ($5::uuid[])
  LIMIT $6
  FOR UPDATE OF h SKIP LOCKED
), pruned AS (
  DELETE FROM ${history} h
  USING doomed
  WHERE h.run_id = doomed.run_id
  RETURNING h.run_id
)
SELECT count(*)::int AS pruned_count FROM pruned`,
    values: [
      prunable.map((row) => row.schema_name),
      prunable.map((row) => row.view_name),
      prunable.map((row) => row.is_skipped),
      prunable.map((row) => row.cutoff),
      prunable.flatMap((row) => row.kept_runs),
      batchSize,
    ],
  };
}
