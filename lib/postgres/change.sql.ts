import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import { SOURCE_STATE } from './source-state.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* What has changed since a view was refreshed. */

/** None for a view without a state row. */
export interface ChangeRow {
  /** True only where nothing that the view reads can have changed since its watermark. */
  is_unchanged: boolean;
  /** When the oldest change was written that the view has not seen; `null` for none. Milliseconds since the epoch. */
  pending_since: number | null;
  /** The same of the newest. */
  last_change_at: number | null;
  /** To be stored with the watermark by a refresh that starts now; `null` when nothing can be told from it. */
  signature: string | null;
}

/**
 * Whether a view's sources have changed. Two things must agree.
 *
 * The log has no row that is visible now and was not visible in the watermark. It is written in the
 * writer's own transaction, so it is committed with the change or not at all, and the watermark is taken before
 * the refresh's snapshot: what it has not seen, the refresh may not have seen.
 *
 * The signature is the remembered one: see `createSourceState`.
 *
 * A watermark from before a restore means nothing: hence none from the future.
 */
export function selectChanges(stateSchema: string, view: QualifiedName): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `SELECT coalesce(
         unseen.oldest IS NULL
           AND c.relispopulated
           AND s.source_signature = current.signature
           AND pg_catalog.pg_snapshot_xmax(s.watermark)
                 <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
         false
       ) AS is_unchanged,
       ${epochMs('unseen.oldest')} AS pending_since,
       ${epochMs('unseen.newest')} AS last_change_at,
       current.signature
FROM ${schema}.view_state s
JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.view_name
CROSS JOIN LATERAL ${schema}.${SOURCE_STATE}(c.oid, s.capture) AS current
CROSS JOIN LATERAL (
  SELECT min(l.changed_at) AS oldest, max(l.changed_at) AS newest
  FROM ${schema}.change_log l
  WHERE l.source = ANY (current.sources)
    AND l.xid >= pg_catalog.pg_snapshot_xmin(s.watermark)
    AND NOT pg_catalog.pg_visible_in_snapshot(l.xid, s.watermark)
) AS unseen
WHERE s.schema_name = $1 AND s.view_name = $2`,
    values: [view.schema, view.name],
  };
}

/** The kind of a change that a refresh is, beside TG_OP of the triggers. */
const REFRESH = 'REFRESH';

/**
 * Tells the readers of a view that it has been refreshed, in the transaction of the refresh. Triggers
 * cannot: materialized views have none.
 */
export function appendRefreshSignal(stateSchema: string, view: QualifiedName): SqlStatement {
  return {
    text: `INSERT INTO ${quoteIdentifier(stateSchema)}.change_log (source, kind)
SELECT c.oid, '${REFRESH}'
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2`,
    values: [view.schema, view.name],
  };
}
