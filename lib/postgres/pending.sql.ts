import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import { SOURCE_STATE } from './source-state.sql.js';
import type { SqlStatement } from './sql-statement.js';

/** What a view has not seen yet. Instants are milliseconds since the epoch, by the database's clock. */
export interface PendingViewRow {
  schema_name: string;
  view_name: string;
  now: number;
  /** When the oldest write was made that the view has not seen; `null` for none. */
  pending_since: number | null;
  /** The same of the newest. */
  last_change_at: number | null;
  /** Whether a materialized view among those that it reads has been refreshed since. */
  is_below_refreshed: boolean;
  /** Whether it has a watermark that means something in this database. */
  has_watermark: boolean;
  /** What was remembered of the sources, and what they are now; see `createSourceState`. */
  remembered_signature: string | null;
  signature: string | null;
  is_paused: boolean;
  is_backing_off: boolean;
  /** The start of the refresh that brought its rows. */
  last_started_at: number | null;
}

/**
 * What all given views have not seen, in one statement; those without state, or without a view, have no row.
 * The log's rows are counted as in `selectChanges`, which decides under the lock.
 */
export function selectPendingViews(stateSchema: string, views: QualifiedName[]): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `SELECT s.schema_name,
       s.view_name,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now,
       ${epochMs('unseen.oldest')} AS pending_since,
       ${epochMs('unseen.newest')} AS last_change_at,
       coalesce(unseen.is_below_refreshed, false) AS is_below_refreshed,
       coalesce(
         c.relispopulated
           AND pg_catalog.pg_snapshot_xmax(s.watermark)
                 <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
         false
       ) AS has_watermark,
       s.source_signature AS remembered_signature,
       current.signature,
       s.paused_at IS NOT NULL AS is_paused,
       coalesce(s.not_before > pg_catalog.clock_timestamp(), false) AS is_backing_off,
       ${epochMs('s.last_started_at')} AS last_started_at
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
JOIN ${schema}.view_state s USING (schema_name, view_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name AND c.relkind = 'm'
CROSS JOIN LATERAL ${schema}.${SOURCE_STATE}(c.oid, s.capture) AS current
CROSS JOIN LATERAL (
  SELECT min(l.changed_at) AS oldest,
         max(l.changed_at) AS newest,
         bool_or(source.relkind = 'm') AS is_below_refreshed
  FROM ${schema}.change_log l
  JOIN pg_catalog.pg_class source ON source.oid = l.source
  WHERE l.source = ANY (current.sources)
    AND l.xid >= pg_catalog.pg_snapshot_xmin(s.watermark)
    AND NOT pg_catalog.pg_visible_in_snapshot(l.xid, s.watermark)
) AS unseen`,
    values: [views.map((view) => view.schema), views.map((view) => view.name)],
  };
}
