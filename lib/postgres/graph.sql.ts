import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { lastRuns } from './last-runs.sql.js';
import { isView } from './view-kind.js';
import type { SqlStatement } from './sql-statement.js';

/** One view reads another; either may be materialized or plain. */
export interface ViewEdgeRow {
  source_schema: string;
  source_name: string;
  dependent_schema: string;
  dependent_name: string;
}

/**
 * Which views read which, according to the catalog now. Only a view's own query counts: other rules
 * of a plain view say where writes go.
 */
export function selectViewEdges(): SqlStatement {
  return {
    text: `SELECT DISTINCT sn.nspname AS source_schema,
       s.relname AS source_name,
       vn.nspname AS dependent_schema,
       v.relname AS dependent_name
FROM pg_catalog.pg_rewrite r
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
JOIN pg_catalog.pg_class s ON s.oid = d.refobjid
JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace vn ON vn.oid = v.relnamespace
WHERE r.rulename = '_RETURN'
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND s.oid <> v.oid
  AND ${isView('s.relkind')}
  AND ${isView('v.relkind')}
  AND sn.nspname NOT IN ('pg_catalog', 'information_schema')`,
  };
}

export interface MeanDurationRow {
  schema_name: string;
  view_name: string;
  mean_ms: number;
}

/** How many runs of a view are read: last month's durations say little. */
const RECENT_RUNS = 20;

/** The views' recent average durations. A view without a recent success has no row. */
export function selectMeanDurations(stateSchema: string, views: QualifiedName[]): SqlStatement {
  const runs = lastRuns({
    history: `${quoteIdentifier(stateSchema)}.refresh_history`,
    ...{ of: 'wanted', outcome: 'o.outcome', columns: 'h.duration_ms, h.outcome, h.started_at' },
    ...{ limit: RECENT_RUNS, isTimed: true },
  });
  return {
    text: `SELECT wanted.schema_name, wanted.view_name, recent.mean_ms
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
CROSS JOIN LATERAL (
  SELECT pg_catalog.avg(run.duration_ms) FILTER (WHERE run.outcome = 'refreshed') AS mean_ms
  FROM (
    SELECT each.duration_ms, each.outcome
    FROM (VALUES ('refreshed'), ('failed'), ('timeout'), ('cancelled')) AS o(outcome)
    CROSS JOIN LATERAL (${runs}) AS each
    ORDER BY each.started_at DESC
    LIMIT ${RECENT_RUNS}
  ) AS run
) AS recent
WHERE recent.mean_ms IS NOT NULL`,
    values: namesOf(views),
  };
}
