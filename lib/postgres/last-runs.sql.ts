/** Which runs of the history are meant. */
interface LastRuns {
  /** The quoted table. */
  history: string;
  /** The alias that has the view's `schema_name` and `view_name`. */
  of: string;
  /** An expression. */
  outcome: string;
  columns: string;
  limit: number | string;
  /** Whether runs during which the clock went back are left out. */
  isTimed?: boolean;
}

/**
 * The last runs of a view with one outcome, newest first, by the index on both: a history may have millions of other runs. Runs
 * ahead of the clock are left out.
 */
export function lastRuns({ history, of, outcome, columns, limit, isTimed }: LastRuns): string {
  return `SELECT ${columns}
    FROM ${history} h
    WHERE h.schema_name = ${of}.schema_name
      AND h.view_name = ${of}.view_name
      AND h.outcome = ${outcome}
      AND h.started_at <= (SELECT pg_catalog.clock_timestamp())${
        isTimed ? '\n      AND h.started_at <= h.finished_at' : ''
      }
    ORDER BY h.started_at DESC
    LIMIT ${limit}`;
}

/** The last run of a view that failed or took too long. */
export function lastFailure(runs: Omit<LastRuns, 'outcome' | 'limit'>): string {
  return `SELECT last.*
  FROM (VALUES ('failed'), ('timeout')) AS f(outcome)
  CROSS JOIN LATERAL (${lastRuns({ ...runs, outcome: 'f.outcome', limit: 1 })}) AS last
  ORDER BY last.started_at DESC
  LIMIT 1`;
}
