import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, fromEpochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/** One run of the history. Times are milliseconds since the epoch. */
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

const COLUMNS = `h.run_id::text AS run_id,
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
       h.host`;

/** The last runs of a view, newest first. Runs ahead of the clock come from before it went back. An index scan finds both. */
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
SELECT ${COLUMNS}
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

/** A run of one of several views. */
export interface ViewHistoryRow extends HistoryRow {
  /** Its view's position in the given list, from 1 on. */
  position: number;
}

/** Which runs are wanted; `null` means any. Times are milliseconds since the epoch. */
export interface HistoryFilter {
  outcomes: readonly string[] | null;
  since: number | null;
  until: number | null;
  /** Only runs that come after this one in the order of the result. */
  olderThan: { startedAt: number; runId: string } | null;
}

const TO_THE_MS = "pg_catalog.date_trunc('milliseconds', h.started_at)";

/**
 * The last runs of all given views, newest first. The index on the history finds each view's runs, so no more are
 * read than returned.
 */
export function selectHistoryOfAll(
  stateSchema: string,
  views: readonly QualifiedName[],
  { outcomes, since, until, olderThan }: HistoryFilter,
  limit: number,
): SqlStatement {
  return {
    text: `SELECT w.position::int4 AS position,
       ${COLUMNS}
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
) WITH ORDINALITY AS w(schema_name, view_name, position)
CROSS JOIN LATERAL (
  SELECT h.*
  FROM ${quoteIdentifier(stateSchema)}.refresh_history h
  WHERE h.schema_name = w.schema_name
    AND h.view_name = w.view_name
    AND ($3::text[] IS NULL OR h.outcome = ANY ($3::text[]))
    AND ($4::float8 IS NULL OR h.started_at >= ${fromEpochMs('$4')})
    AND ($5::float8 IS NULL OR h.started_at < ${fromEpochMs('$5')})
    AND ($6::float8 IS NULL
      OR ${TO_THE_MS} < ${fromEpochMs('$6')}
      OR (${TO_THE_MS} = ${fromEpochMs('$6')} AND h.run_id < $7::uuid))
  ORDER BY h.started_at DESC
  LIMIT $8
) AS h
ORDER BY ${TO_THE_MS} DESC, h.run_id DESC
LIMIT $8`,
    values: [
      ...namesOf(views),
      outcomes,
      since,
      until,
      olderThan?.startedAt ?? null,
      olderThan?.runId ?? null,
      limit,
    ],
  };
}

export interface RecentRunsRow {
  /**
   * When each run started, how long it took (both in milliseconds) and how it ended, oldest first; `null` without
   * any.
   */
  runs: [startedAt: number, durationMs: number, outcome: string][] | null;
}

/** The last runs of each view, one row per view in the given order. Skipped ticks don't count as runs. */
export function selectRecentRuns(
  stateSchema: string,
  views: readonly QualifiedName[],
  limit: number,
): SqlStatement {
  return {
    text: `SELECT recent.runs
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
) WITH ORDINALITY AS w(schema_name, view_name, position)
LEFT JOIN LATERAL (
  SELECT pg_catalog.json_agg(
           pg_catalog.json_build_array(${epochMs('last.started_at')}, last.duration_ms, last.outcome)
           ORDER BY last.started_at
         ) AS runs
  FROM (
    SELECT h.started_at, h.duration_ms, h.outcome
    FROM ${quoteIdentifier(stateSchema)}.refresh_history h
    WHERE h.schema_name = w.schema_name
      AND h.view_name = w.view_name
      AND h.outcome <> 'skipped'
      AND h.started_at <= pg_catalog.clock_timestamp()
    ORDER BY h.started_at DESC
    LIMIT $3
  ) AS last
) AS recent ON true
ORDER BY w.position`,
    values: [...namesOf(views), limit],
  };
}
