import type { ViewDefinition } from '../definition/view-definition.js';
import { type ChangeRow, selectChanges } from '../postgres/change.sql.js';
import { type ChangeLogSizeRow, selectChangeLogSize } from '../postgres/change-log.sql.js';
import type { Session } from '../postgres/session.js';
import { answerOfChanges } from './change-record.js';
import { instant } from './optional-instant.js';

/** What a view has been told of since its rows were computed. */
export interface ViewChanges {
  /**
   * Whether nothing has changed that the view is told of. When that is all that it reads, its rows are what a refresh
   * would give now; with `on: [...]` it is told of these tables and of definitions only.
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

/** Reads that of all given views that are told of changes, in two statements; in none where there is no such view. */
export async function readViewChanges(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<Map<ViewDefinition, ViewChanges>> {
  const told = definitions.filter(({ freshness }) => freshness !== undefined);
  if (told.length === 0) {
    return new Map();
  }
  const names = told.map(({ name }) => name);
  const rows = await session.query<ChangeRow>(selectChanges(stateSchema, names));
  const [size] = await session.query<ChangeLogSizeRow>(selectChangeLogSize(stateSchema));
  return new Map(
    told.map((view, position) => [view, viewChanges(answerOfChanges(view, rows[position]), size)]),
  );
}

function viewChanges(row: ChangeRow | undefined, size: ChangeLogSizeRow | undefined): ViewChanges {
  return {
    isUnchanged: row?.is_unchanged ?? false,
    pendingSince:
      row?.is_signature_stored && !row.is_unsure ? instant(row.pending_since) : undefined,
    logRowCount: size?.row_count ?? 0,
    logBytes: size?.byte_count ?? 0,
  };
}
