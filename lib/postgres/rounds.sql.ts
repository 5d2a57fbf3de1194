import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs, writtenAt } from './instant.js';
import { sharedState } from './shared-state.sql.js';
import { SOURCE_STATE } from './source-state.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* Whether refreshes lead to refreshes. */

/** The `kind` of the log row that a refresh writes. A round above 0 follows after a space. */
const REFRESH_KIND = 'REFRESH';

/** The same for a parameter, as SQL. */
export function refreshKind(round: string): string {
  return `pg_catalog.concat_ws(' ', '${REFRESH_KIND}'::text, nullif(${round}, 0))`;
}

/** Whether a refresh wrote a log row, as SQL. */
export function isRefresh(row: string): string {
  return `pg_catalog.split_part(${row}.kind, ' ', 1) = '${REFRESH_KIND}'`;
}

const roundOf = (row: string): string =>
  `coalesce(nullif(pg_catalog.split_part(${row}.kind, ' ', 2), ''), '0')::int`;

/** A view's pending changes, if refreshes made all of them. */
export interface RoundRow {
  schema_name: string;
  view_name: string;
  /** How many refreshes in a row each wrote what triggered the next, including the next one. */
  round: number;
  /** Whether a refresh wrote to what the view reads, and did not only refresh a view that this one reads. */
  is_written: boolean;
  /** When the oldest pending write was made. Milliseconds since the epoch. */
  oldest: number;
  /** Milliseconds since the epoch. */
  now: number;
}

/**
 * The given views whose pending changes all come from refreshes. A refresh writes a log row; a trigger that fires during it, or a
 * function that its query calls, writes others with the same transaction ID. Both stay until every view has seen them. For which
 * rows a view has not seen, see `createChangeFunctions`.
 */
export function selectRounds(stateSchema: string, views: readonly QualifiedName[]): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `WITH managed AS MATERIALIZED (
  SELECT pg_catalog.array_agg(c.oid) AS oids
  FROM ${schema}.view_state s
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name
)
SELECT s.schema_name,
       s.view_name,
       pg_catalog.max(unseen.round)::int AS round,
       pg_catalog.bool_or(unseen.is_write) AS is_written,
       ${epochMs('pg_catalog.min(unseen.changed_at)')} AS oldest,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
JOIN ${schema}.view_state s USING (schema_name, view_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name AND c.relkind = 'm'
CROSS JOIN managed
CROSS JOIN LATERAL ${schema}.${SOURCE_STATE.name}(c.oid, s.capture, ${sharedState(schema)}) AS state
CROSS JOIN LATERAL (
  SELECT ${writtenAt('l.changed_at')} AS changed_at,
         NOT ${isRefresh('l')} AS is_write,
         CASE WHEN ${isRefresh('l')} THEN ${roundOf('l')} ELSE 1 + by.round END AS round
  FROM ${schema}.change_log l
  LEFT JOIN LATERAL (
    SELECT pg_catalog.max(${roundOf('r')}) AS round
    FROM ${schema}.change_log r
    WHERE r.source = ANY (managed.oids) AND r.xid = l.xid AND ${isRefresh('r')}
  ) AS by ON true
  WHERE l.source = ANY (state.sources)
    AND l.xid >= coalesce(pg_catalog.pg_snapshot_xmin(s.watermark), '0')
    AND l.xid < pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    AND NOT coalesce(pg_catalog.pg_visible_in_snapshot(l.xid, s.watermark), false)
) AS unseen
GROUP BY s.schema_name, s.view_name
HAVING pg_catalog.bool_and(unseen.round IS NOT NULL)`,
    values: namesOf(views),
  };
}
