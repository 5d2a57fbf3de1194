import type { ViewDefinition } from '../definition/view-definition.js';
import { displayName, rowName } from '../postgres/identifier.js';
import { type PendingRow, selectPending } from '../postgres/pending.sql.js';
import type { Session } from '../postgres/session.js';
import { UNSURE } from '../postgres/signature.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { tracksAllDeclared } from './capture-record.js';

/**
 * The changes that a view tracks and has not seen, and how certain that is. Times are milliseconds since the epoch, by
 * the database's clock.
 */
export interface PendingChanges {
  definition: ViewDefinition;
  now: number;
  /** When the oldest of these writes was made; `null` for none. */
  since: number | null;
  /** When the newest of these writes was made; `null` for none. */
  lastAt: number | null;
  /** Whether there is a change without a log row, and so without a time: DDL, or no refresh so far. */
  isAltered: boolean;
  /** Whether the view is unpopulated. That is intended, so it waits for a write or a refresh on demand. */
  isEmpty: boolean;
  /** The start of the refresh that produced its rows; `null` if there was none. */
  rowsSince: number | null;
  /** Whether every write to what it reads leaves a row in the log. */
  isCaptured: boolean;
  /** Whether it can be known if a refresh would give other rows: only then can its changes be relied on. */
  isWatched: boolean;
  /**
   * Whether nothing that it tracks has changed. If it calls `now()`, a refresh may still give other
   * rows.
   */
  hasNothingNew: boolean;
  /** Whether that certainly means that what it tracks gives the same rows. */
  isUnchanged: boolean;
  /** Whether `since` covers all changes: none can be missing from the log. */
  isComplete: boolean;
  /** Whether a refresh may give other rows although nothing was written. */
  isUnsure: boolean;
  /** The snapshot in which all of this was read: the watermark of a refresh that starts now. */
  snapshot: string;
  /** What a refresh that starts now stores with its watermark; `null` if it stores none. */
  signature: string | null;
  /** Whether the last refresh ran the same queries over the same relations. */
  hasSameDefinitions: boolean;
}

/** Reads the pending changes of views, in one statement for all of them. */
export async function readPending(
  session: Pick<Session, 'query'>,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<PendingChanges[]> {
  const byName = new Map(definitions.map((view) => [displayName(view.name), view]));
  const names = definitions.map(({ name }) => name);
  const rows = await session.query<PendingRow>(selectPending(stateSchema, names));
  return rows.flatMap((row) => {
    const definition = byName.get(rowName(row));
    return definition === undefined ? [] : [pendingChanges(definition, row)];
  });
}

/** The statement that reads a view's pending changes; none for a view that tracks nothing. */
export function questionOfPending(
  stateSchema: string,
  { name, freshness }: ViewDefinition,
): SqlStatement[] {
  return freshness === undefined ? [] : [selectPending(stateSchema, [name])];
}

/**
 * Its result. If the database tracks less than this process declares, the absence of changes means
 * nothing.
 */
export function pendingChanges(definition: ViewDefinition, row: PendingRow): PendingChanges {
  const tracksAll = tracksAllDeclared(definition, row.capture);
  const isUnsure = row.are_definitions_stored && row.is_unsure;
  return {
    definition,
    now: row.now,
    since: row.pending_since,
    lastAt: row.last_change_at,
    isAltered: !row.has_watermark || row.is_altered,
    isEmpty: !row.is_populated,
    rowsSince: row.has_watermark ? row.last_started_at : null,
    isCaptured: row.is_captured,
    isWatched: row.is_watched && definition.freshness?.readsSources === true && tracksAll,
    hasNothingNew: row.has_nothing_new,
    isUnchanged: row.is_unchanged && tracksAll,
    isComplete: row.is_signature_stored && tracksAll,
    isUnsure: row.is_unsure,
    snapshot: row.snapshot,
    // If the definitions are the same as before, a mark on the signature still holds.
    signature: row.signature !== null && isUnsure ? `${UNSURE}${row.signature}` : row.signature,
    hasSameDefinitions: row.are_definitions_stored,
  };
}
