import type { ViewDefinition } from '../definition/view-definition.js';
import { type ChangeLogSizeRow, selectChangeLogSize } from '../postgres/change-log.sql.js';
import { instant } from '../postgres/optional-instant.js';
import type { Session } from '../postgres/session.js';
import { type PendingChanges, readPending } from './pending-changes.js';

/** What a view has not seen of the changes that it tracks. */
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

/** Reads that of all given views that track changes, in two statements; in none where there is no such view. */
export async function readViewChanges(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<Map<ViewDefinition, ViewChanges>> {
  const tracking = definitions.filter(({ freshness }) => freshness !== undefined);
  if (tracking.length === 0) {
    return new Map();
  }
  const { views } = await readPending(session, stateSchema, tracking);
  const [size] = await session.query<ChangeLogSizeRow>(selectChangeLogSize(stateSchema));
  const found = new Map(views.map((each) => [each.definition, each]));
  return new Map(tracking.map((view) => [view, viewChanges(found.get(view), size)]));
}

function viewChanges(
  pending: PendingChanges | undefined,
  size: ChangeLogSizeRow | undefined,
): ViewChanges {
  return {
    isUnchanged: pending?.isUnchanged ?? false,
    pendingSince: pending?.isComplete && !pending.isUnsure ? instant(pending.since) : undefined,
    logRowCount: size?.row_count ?? 0,
    logBytes: size?.byte_count ?? 0,
  };
}
