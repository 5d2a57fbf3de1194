import { VIEW_CHANGES } from './change.sql.js';
import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { IS_BACKING_OFF } from './instant.js';
import type { SqlStatement } from './sql-statement.js';
import type { CaptureRecord } from './state.sql.js';

/** The changes that a view has not seen yet. Times are milliseconds since the epoch, by the database's clock. */
export interface PendingRow {
  schema_name: string;
  view_name: string;
  now: number;
  /** When the oldest pending write was made; `null` for none. */
  pending_since: number | null;
  /** When the newest pending write was made; `null` for none. */
  last_change_at: number | null;
  /** Whether it can be read. */
  is_populated: boolean;
  /**
   * Which changes the view tracks according to the database. Everything here refers to these; `null` for
   * none.
   */
  capture: CaptureRecord | null;
  /** Whether it has rows and a watermark that is valid in this database. */
  has_watermark: boolean;
  /**
   * Whether the catalog rows of its sources, or its own, differ from those at its last refresh. Never if
   * `capture` is `null`: no refresh stores anything then, so each would lead to the next.
   */
  is_altered: boolean;
  /** Whether all writes to what it reads leave a row in the log. */
  is_captured: boolean;
  /** Whether it can be known if a refresh would give other rows. */
  is_watched: boolean;
  /** True only if nothing that the view reads can have changed since its watermark. */
  is_unchanged: boolean;
  /**
   * True only if nothing that the view tracks has changed. If it calls `now()`, a refresh may still give other rows.
   */
  has_nothing_new: boolean;
  /** Whether these two may differ: the stored signature is marked `UNSURE`. */
  is_unsure: boolean;
  /** The snapshot in which this was read: the watermark of a refresh that starts now. */
  snapshot: string;
  /** What a refresh that starts now stores with the watermark. */
  signature: string | null;
  /** Whether the signature equals the stored one, without a mark or a missing trigger: then all changes are in the log. */
  is_signature_stored: boolean;
  /** Whether the stored signature has the same queries over the same relations, so that no obstacle can be new. */
  are_definitions_stored: boolean;
  /** The start of the refresh that produced its rows; `null` for none. */
  last_started_at: number | null;
  /** How long the server took for all views together, in milliseconds. */
  took_ms: number;
}

/**
 * The pending changes of the given views. A view that doesn't exist, or has no state row, has no row here.
 *
 * @param leavesOut whether to leave out views that are paused or back off: the longer a view is not refreshed, the
 * longer its part of the log, and each poll would read it for nothing
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

/** The views that are neither paused nor backing off. */
function openViews(quotedSchema: string): string {
  return `(
  SELECT pg_catalog.array_agg(s.schema_name) AS schemas, pg_catalog.array_agg(s.view_name) AS names
  FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
  JOIN ${quotedSchema}.view_state s USING (schema_name, view_name)
  WHERE s.paused_at IS NULL
    AND NOT coalesce(${IS_BACKING_OFF}, false)
) AS open`;
}
