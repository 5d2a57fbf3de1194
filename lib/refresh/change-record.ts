import type { ViewDefinition } from '../definition/view-definition.js';
import { rootsOfDefinition } from '../freshness/capture-needs.js';
import { isToldAll } from '../freshness/capture-record.js';
import { type ChangeRow, selectChanges } from '../postgres/change.sql.js';
import { recordSuccess, type SuccessRecord } from '../postgres/history.sql.js';
import { markObstructed } from '../postgres/obstacle.sql.js';
import { UNSURE } from '../postgres/signature.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { RefreshRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';

/** The statement that asks what has changed of what a view reads; none for a view that is not told of changes. */
export function questionOfChanges(
  stateSchema: string,
  { name, freshness }: ViewDefinition,
): SqlStatement[] {
  return freshness === undefined ? [] : [selectChanges(stateSchema, [name])];
}

/** The answer, which says nothing of what the database does not know that the view is to be told of. */
export function answerOfChanges(
  definition: ViewDefinition,
  row: ChangeRow | undefined,
): ChangeRow | undefined {
  return row === undefined || isToldAll(definition, row.capture)
    ? row
    : { ...row, is_unchanged: false, is_signature_stored: false };
}

/**
 * When, at the earliest, the oldest write was made that a refresh brings into the view: the views above count from
 * then. After a change that is not in the log, such as a refresh of a view below, it may be as old as the rows before.
 * All instants are milliseconds since the epoch.
 *
 * @param startedAt the start of the refresh
 * @param lastStartedAt the start of the refresh before; `null` for none
 */
export function writtenSince(
  changes: Pick<ChangeRow, 'is_signature_stored' | 'pending_since'> | undefined,
  startedAt: number,
  lastStartedAt: number | null,
): number {
  const oldest = changes?.pending_since ?? startedAt;
  return changes?.is_signature_stored ? oldest : Math.min(oldest, lastStartedAt ?? 0);
}

/**
 * The statements that record a success, and which changes the view has seen.
 *
 * @param before what had changed before the refresh, and when the refresh before started
 */
export function successStatements(
  stateSchema: string,
  definition: ViewDefinition,
  run: Omit<SuccessRecord, 'signature' | 'writtenSince'>,
  before: { changes?: ChangeRow; lastStartedAt: number | null },
): SqlStatement[] {
  const { changes, lastStartedAt } = before;
  const { freshness } = definition;
  const signature = signatureOf(changes);
  const success = recordSuccess(stateSchema, {
    ...run,
    signature,
    writtenSince: writtenSince(changes, run.startedAt, lastStartedAt),
  });
  if (freshness === undefined || signature === null || changes?.are_definitions_stored) {
    return [success];
  }
  return [success, markObstructed(stateSchema, rootsOfDefinition(definition))];
}

/** The signature to be stored. Where the definitions are the same as before, a mark on it still holds. */
function signatureOf(changes: ChangeRow | undefined): string | null {
  const signature = changes?.signature ?? null;
  const isUnsure = changes?.are_definitions_stored && changes.is_unsure;
  return signature !== null && isUnsure ? `${UNSURE}${signature}` : signature;
}

/** Whether it is known that a refresh would give the same rows: never of a view that is told of less than it reads. */
function wouldGiveSameRows(
  { freshness }: ViewDefinition,
  changes: Pick<ChangeRow, 'is_unchanged'> | undefined,
): boolean {
  return freshness?.readsSources === true && changes?.is_unchanged === true;
}

/**
 * Whether a view need not be refreshed. A refresh because of writes is not needed when the view has seen them all; any
 * other is not needed when it would give the same rows.
 */
export function isUnchangedFor(
  { trigger, definition }: Pick<RefreshRequest, 'trigger' | 'definition'>,
  changes: ChangeRow | undefined,
): boolean {
  return trigger === 'write'
    ? (changes?.has_nothing_new ?? false)
    : wouldGiveSameRows(definition, changes);
}

/**
 * Whether the rows were found to be what a refresh would give. With `on: [...]` they are only known to be as new as
 * what the view is told of, which is less.
 */
export function areRowsCurrent(
  result: RefreshResult,
  { definition }: Pick<RefreshRequest, 'definition'>,
  changes: ChangeRow | undefined,
): boolean {
  const isFound = result.outcome === 'skipped' && result.reason === 'unchanged';
  return isFound && wouldGiveSameRows(definition, changes);
}
