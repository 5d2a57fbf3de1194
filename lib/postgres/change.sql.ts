import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import { SOURCE_STATE } from './source-state.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* What has changed since a view was refreshed. */

/** All but the names are `null` for a view without a state row. */
export interface ChangeRow {
  schema_name: string;
  view_name: string;
  /** True only where nothing that the view reads can have changed since its watermark. */
  is_unchanged: boolean | null;
  /** When the oldest change was written that the view has not seen; `null` for none. Milliseconds since the epoch. */
  pending_since: number | null;
  /** The same of the newest. */
  last_change_at: number | null;
  /** To be stored with the watermark by a refresh that starts now; `null` when nothing can be told from it. */
  signature: string | null;
  /** Whether the signature is the stored one, so that only what is in the log can have changed. */
  is_signature_stored: boolean | null;
}

/**
 * Whether the sources of views have changed, a row for each view in the given order. Two things must agree.
 *
 * The log has no row that is visible now and was not visible in the watermark. It is written in the
 * writer's own transaction, so it is committed with the change or not at all, and the watermark is taken before
 * the refresh's snapshot: what it has not seen, the refresh may not have seen.
 *
 * The signature is the remembered one: see `createSourceState`.
 *
 * A watermark from before a restore means nothing: hence none from the future.
 */
export function selectChanges(stateSchema: string, views: readonly QualifiedName[]): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `SELECT wanted.schema_name,
       wanted.view_name,
       found.*
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
) WITH ORDINALITY AS wanted(schema_name, view_name, position)
LEFT JOIN LATERAL (
  SELECT coalesce(
           unseen.oldest IS NULL
             AND c.relispopulated
             AND s.source_signature = current.signature
             AND pg_catalog.pg_snapshot_xmax(s.watermark)
                   <= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()),
           false
         ) AS is_unchanged,
         ${epochMs('unseen.oldest')} AS pending_since,
         ${epochMs('unseen.newest')} AS last_change_at,
         current.signature,
         coalesce(s.source_signature = current.signature, false) AS is_signature_stored
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
  WHERE s.schema_name = wanted.schema_name AND s.view_name = wanted.view_name AND s.capture IS NOT NULL
) AS found ON true
ORDER BY wanted.position`,
    values: [views.map((view) => view.schema), views.map((view) => view.name)],
  };
}
