import type { ViewDefinition } from '../definition/view-definition.js';
import { instant } from '../postgres/optional-instant.js';
import type { Session } from '../postgres/session.js';
import { type PendingChanges, readPending } from './pending-changes.js';

/** The tracked changes that a view has not seen. */
export interface ViewChanges {
  /**
   * Whether nothing has changed that the view tracks. When that is all that it reads, its rows are what a refresh
   * would give now; with `on: [...]` it tracks these tables and definitions only.
   */
  isUnchanged: boolean;
  /**
   * When the oldest change was written that the view has not seen, by the database's clock. Absent when there is none,
   * and when it is not known: after a change of the schema, while a table has no triggers, or when the view calls
   * `now()`.
   */
  pendingSince?: Date;
  /** The rows of the change log, which all views of a data source share. */
  logRowCount: number;
  /** The size of the change log with its indexes, in bytes. */
  logBytes: number;
}

/** The size of the change log. */
export interface ChangeLogSize {
  rowCount: number;
  /** With its indexes. */
  byteCount: number;
}

/** Reads that for all given views that track changes, in one statement; in none if there is no such view. */
export async function readViewChanges(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
  log: ChangeLogSize,
): Promise<Map<ViewDefinition, ViewChanges>> {
  const tracking = definitions.filter(({ freshness }) => freshness !== undefined);
  if (tracking.length === 0) {
    return new Map();
  }
  const views = await readPending(session, stateSchema, tracking);
  const found = new Map(views.map((each) => [each.definition, each]));
  return new Map(tracking.map((view) => [view, viewChanges(found.get(view), log)]));
}

function viewChanges(
  pending: PendingChanges | undefined,
  { rowCount, byteCount }: ChangeLogSize,
): ViewChanges {
  return {
    isUnchanged: pending?.isUnchanged ?? false,
    pendingSince: pending?.isComplete && !pending.isUnsure ? instant(pending.since) : undefined,
    logRowCount: rowCount,
    logBytes: byteCount,
  };
}
