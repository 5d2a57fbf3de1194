import { VIEW_CHANGES } from './change.sql.js';
import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';
import type { CaptureRecord } from './state.sql.js';

/** Which changes a view has not seen yet. Instants are milliseconds since the epoch, by the database's clock. */
export interface PendingViewRow {
  schema_name: string;
  view_name: string;
  now: number;
  /** When the oldest write was made that the view has not seen; `null` for none. */
  pending_since: number | null;
  /** When the newest such write was made; `null` for none. */
  last_change_at: number | null;
  /** Whether it can be read. */
  is_populated: boolean;
  /** Which changes the database remembers that it is told of; `null` for none. */
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
  is_paused: boolean;
  is_backing_off: boolean;
  /** The start of the refresh that brought its rows; `null` for none. */
  last_started_at: number | null;
}

/** Which changes the given views have not seen. A view that does not exist, or has no state row, has no row here. */
export function selectPendingViews(stateSchema: string, views: QualifiedName[]): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  return {
    text: `SELECT s.schema_name,
       s.view_name,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now,
       ${epochMs('found.oldest')} AS pending_since,
       ${epochMs('found.newest')} AS last_change_at,
       found.is_populated,
       s.capture,
       found.has_watermark,
       found.is_altered AND s.capture IS NOT NULL AS is_altered,
       found.is_captured,
       found.is_captured AND NOT found.is_obstructed AND NOT found.is_unsure AS is_watched,
       s.paused_at IS NOT NULL AS is_paused,
       coalesce(s.not_before > pg_catalog.clock_timestamp(), false) AS is_backing_off,
       ${epochMs('s.last_started_at')} AS last_started_at
FROM ${schema}.${VIEW_CHANGES}($1, $2) AS found
JOIN ${schema}.view_state s USING (schema_name, view_name)`,
    values: [views.map((view) => view.schema), views.map((view) => view.name)],
  };
}
