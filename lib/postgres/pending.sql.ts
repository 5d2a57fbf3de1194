import { VIEW_CHANGES } from './change.sql.js';
import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
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

/** With everything that the answer depends on, so that it can be remembered until that changes. */
export interface PendingReachRow extends PendingRow {
  /** The view's OID. */
  oid: string;
  /** The OIDs of what it reads; `null` if something is missing. */
  relations: string[] | null;
  /** Whether it depends on functions, types and operators that users created. */
  is_made_by_users: boolean;
  /** Whether time alone doesn't change it: no instant in it is ahead of the clock. */
  is_lasting: boolean;
}

/**
 * The pending changes of the given views. A view that doesn't exist, or has no state row, has no row here.
 *
 * @param hasReach whether the rows are `PendingReachRow`s
 */
export function selectPending(
  stateSchema: string,
  views: readonly QualifiedName[],
  { hasReach }: { hasReach: boolean } = { hasReach: false },
): SqlStatement {
  return {
    text: `SELECT * FROM ${quoteIdentifier(stateSchema)}.${VIEW_CHANGES.name}($1::text[], $2::text[], ${hasReach})`,
    values: namesOf(views),
  };
}
