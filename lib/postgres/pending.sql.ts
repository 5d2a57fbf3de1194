import { VIEW_CHANGES } from './change.sql.js';
import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { IS_BACKING_OFF } from './instant.js';
import type { SqlStatement } from './sql-statement.js';
import type { CaptureRecord } from './state.sql.js';

/** The changes that a view has not seen yet. Instants are milliseconds since the epoch, by the database's clock. */
export interface PendingRow {
  schema_name: string;
  view_name: string;
  now: number;
  /** When the oldest write was made that the view has not seen; `null` for none. */
  pending_since: number | null;
  /** When the newest such write was made; `null` for none. */
  last_change_at: number | null;
  /** Whether it can be read. */
  is_populated: boolean;
  /** Which changes the database remembers that it tracks, by which all of this is meant; `null` for none. */
  capture: CaptureRecord | null;
  /** Whether it has rows and a watermark that is valid in this database. */
  has_watermark: boolean;
  /**
   * Whether the catalog's rows of its sources, or its own, differ from what its last refresh remembered. Never so
   * where `capture` is `null`: no refresh remembers anything then, and each would lead to the next.
   */
  is_altered: boolean;
  /** Whether all writes to what it reads leave a row in the log. */
  is_captured: boolean;
  /** Whether it can be known if a refresh would give other rows. */
  is_watched: boolean;
  /** True only where nothing that the view reads can have changed since its watermark. */
  is_unchanged: boolean;
  /** True only where nothing has changed that the view tracks. If it calls `now()`, a refresh may give other rows. */
  has_nothing_new: boolean;
  /** Whether these two may differ: the stored signature is marked `UNSURE`. */
  is_unsure: boolean;
  /** What this was asked in: the watermark of a refresh that starts now. */
  snapshot: string;
  /** For a refresh that starts now to store with the watermark. */
  signature: string | null;
  /** Whether the signature is the stored one, and no mark or missing trigger spoils it: then all changes are in the log. */
  is_signature_stored: boolean;
  /** Whether the stored signature is of the same queries over the same relations, so that no obstacle can be new. */
  are_definitions_stored: boolean;
  /** The start of the refresh that brought its rows; `null` for none. */
  last_started_at: number | null;
  /** For how long the server has been looking, at all views together, in milliseconds. */
  took_ms: number;
}

/**
 * Which changes the given views have not seen. A view that does not exist, or has no state row, has no row here.
 *
 * @param leavesOut whether views that are paused or back off have none either: the log is the longer the longer a view
 *   is not refreshed, and would be read at each look for nothing
 */
export function selectPending(
  stateSchema: string,
  views: readonly QualifiedName[],
  { leavesOut }: { leavesOut: boolean } = { leavesOut: false },
): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  const changes = `${schema}.${VIEW_CHANGES.name}`;
  return {
    text: leavesOut
      ? `SELECT found.* FROM ${openViews(schema)} CROSS JOIN LATERAL ${changes}(open.schemas, open.names) AS found`
      : `SELECT * FROM ${changes}($1::text[], $2::text[])`,
    values: namesOf(views),
  };
}

/** Those of the views that nobody has paused, and that do not back off. */
function openViews(quotedSchema: string): string {
  return `(
  SELECT pg_catalog.array_agg(s.schema_name) AS schemas, pg_catalog.array_agg(s.view_name) AS names
  FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
  JOIN ${quotedSchema}.view_state s USING (schema_name, view_name)
  WHERE s.paused_at IS NULL
    AND NOT coalesce(${IS_BACKING_OFF}, false)
) AS open`;
}
