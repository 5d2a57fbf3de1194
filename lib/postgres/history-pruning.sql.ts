import { quoteIdentifier } from './identifier.js';
import { epochMs, fromEpochMs } from './instant.js';
import { lastFailure, lastRuns } from './last-runs.sql.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * How the history stays short. All of these statements scan indexes (see `followIndex`), so none gets slower as the
 * history grows.
 */

/** How much of one view's history is kept. */
export interface HistoryLimits {
  maxAgeMs: number;
  maxCount: number;
}

/** A view with a history, declared or not. */
export interface ViewWithHistoryRow {
  schema_name: string;
  view_name: string;
}

/** The next views with a history, each found by one index lookup. */
export function selectViewsWithHistory(
  stateSchema: string,
  after: ViewWithHistoryRow | undefined,
  limit: number,
): SqlStatement {
  const next = (condition: string): string => `SELECT h.schema_name, h.view_name
    FROM ${quoteIdentifier(stateSchema)}.refresh_history h
    ${condition}
    ORDER BY h.schema_name, h.view_name
    LIMIT 1`;
  const first =
    after === undefined ? '' : 'WHERE (h.schema_name, h.view_name) > ($2::text, $3::text)';
  return {
    text: `WITH RECURSIVE found AS (
  (${next(first)})
  UNION ALL
  SELECT following.schema_name, following.view_name
  FROM found
  CROSS JOIN LATERAL (
    ${next('WHERE (h.schema_name, h.view_name) > (found.schema_name, found.view_name)')}
  ) AS following
)
SELECT schema_name, view_name FROM found LIMIT $1`,
    values: [limit, ...(after === undefined ? [] : [after.schema_name, after.view_name])],
  };
}

/** The part of one view's history that may be deleted. */
export interface PrunableRow extends ViewWithHistoryRow {
  outcome: string;
  /** Runs of that outcome that started before this may be deleted. Milliseconds since the epoch. */
  cutoff: number;
  /** The last success and the last failure, which are kept whatever their age. */
  kept_runs: string[];
}

/**
 * Where the history of these views is cut, for views that have more. Skipped ticks are counted separately, because they
 * would displace the runs that tell how long a refresh takes. Runs ahead of the clock are left alone and displace nothing.
 */
export function selectPrunable(
  stateSchema: string,
  views: readonly ViewWithHistoryRow[],
  { maxAgeMs, maxCount }: HistoryLimits,
): SqlStatement {
  const history = `${quoteIdentifier(stateSchema)}.refresh_history`;
  const runs = { history, of: 'v', columns: 'h.run_id, h.started_at' };
  const last = (outcome: string, limit: number | string): string =>
    lastRuns({ ...runs, outcome, limit });
  return {
    text: `SELECT v.schema_name, v.view_name, o.outcome, cut.cutoff, kept.runs AS kept_runs
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS v(schema_name, view_name)
CROSS JOIN LATERAL (
  SELECT ARRAY(
    SELECT success.run_id FROM (${last("'refreshed'", 1)}) AS success
    UNION ALL
    SELECT failure.run_id FROM (${lastFailure(runs)}) AS failure
  ) AS runs
) AS kept
CROSS JOIN (VALUES
  (ARRAY['skipped']), (ARRAY['refreshed', 'failed', 'timeout', 'cancelled'])
) AS counted(outcomes)
CROSS JOIN LATERAL (
  SELECT greatest(
    ${epochMs("pg_catalog.clock_timestamp() - $3::float8 * interval '1 millisecond'")},
    (SELECT ${epochMs('surplus.started_at')} + 1
     FROM ROWS FROM (pg_catalog.unnest(counted.outcomes)) AS c(outcome)
     CROSS JOIN LATERAL (${last('c.outcome', '$4::bigint + 1')}) AS surplus
     ORDER BY surplus.started_at DESC
     OFFSET $4::bigint LIMIT 1)
  ) AS cutoff
) AS cut
CROSS JOIN LATERAL ROWS FROM (pg_catalog.unnest(counted.outcomes)) AS o(outcome)
CROSS JOIN LATERAL (
  SELECT
  FROM ${history} h
  WHERE h.schema_name = v.schema_name
    AND h.view_name = v.view_name
    AND h.outcome = o.outcome
    AND h.started_at < ${fromEpochMs('cut.cutoff')}
    AND h.run_id <> ALL (kept.runs)
  LIMIT 1
) AS surplus`,
    values: [
      views.map((view) => view.schema_name),
      views.map((view) => view.view_name),
      maxAgeMs,
      maxCount,
    ],
  };
}

export interface PrunedRow {
  pruned_count: number;
  /** When the newest of the deleted runs began, where the next batch continues; `null` for none. */
  last_started_at: number | null;
}

/**
 * Deletes a batch of old runs, the oldest first. Rows that another process is deleting are skipped, so that two
 * processes don't wait for each other.
 *
 * @param from milliseconds since the epoch; index entries of deleted rows before it are not scanned
 * again
 */
export function pruneHistory(
  stateSchema: string,
  prunable: PrunableRow,
  { from, batchSize }: { from: number; batchSize: number },
): SqlStatement {
  const history = `${quoteIdentifier(stateSchema)}.refresh_history`;
  return {
    text: `WITH doomed AS MATERIALIZED (
  SELECT h.ctid
  FROM ${history} h
  WHERE h.schema_name = $1
    AND h.view_name = $2
    AND h.outcome = $3
    AND h.started_at >= ${fromEpochMs('$4')}
    AND h.started_at < ${fromEpochMs('$5')}
    AND h.run_id <> ALL ($6::uuid[])
  ORDER BY h.started_at
  LIMIT $7
  FOR UPDATE SKIP LOCKED
), pruned AS (
  DELETE FROM ${history} h
  WHERE h.ctid = ANY (ARRAY(SELECT doomed.ctid FROM doomed))
  RETURNING h.started_at
)
SELECT count(*)::int AS pruned_count, ${epochMs('max(started_at)')} AS last_started_at FROM pruned`,
    values: [
      prunable.schema_name,
      prunable.view_name,
      prunable.outcome,
      from,
      prunable.cutoff,
      prunable.kept_runs,
      batchSize,
    ],
  };
}
