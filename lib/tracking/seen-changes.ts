import type { ViewDefinition } from '../definition/view-definition.js';
import { recordSuccess, type SuccessRecord } from '../postgres/history.sql.js';
import { markObstructed } from '../postgres/obstacle.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { rootsOfDefinition } from './capture-needs.js';
import type { PendingChanges } from './pending-changes.js';

/**
 * The earliest possible time of the oldest write that a refresh brings into the view: the views above count from then.
 * After a change that is not in the log, such as a refresh of a view below, it may be as old as the previous rows. All
 * times are milliseconds since the epoch.
 *
 * @param startedAt the start of the refresh
 * @param lastStartedAt the start of the previous refresh; `null` for none
 */
export function writtenSince(
  pending: Pick<PendingChanges, 'isComplete' | 'since'> | undefined,
  startedAt: number,
  lastStartedAt: number | null,
): number {
  const oldest = pending?.since ?? startedAt;
  return pending?.isComplete ? oldest : Math.min(oldest, lastStartedAt ?? 0);
}

/**
 * The statements that record a success, and which changes the view has seen.
 *
 * @param before what was pending before the refresh, and the start of the previous refresh
 */
export function successStatements(
  stateSchema: string,
  definition: ViewDefinition,
  run: Omit<SuccessRecord, 'signature' | 'writtenSince'>,
  before: { pending?: PendingChanges; lastStartedAt: number | null },
): SqlStatement[] {
  const { pending, lastStartedAt } = before;
  const signature = pending?.signature ?? null;
  const success = recordSuccess(stateSchema, {
    ...run,
    // What was pending is seen. A write between the two snapshots would lead to a refresh of its own.
    snapshot: pending?.snapshot ?? run.snapshot,
    signature,
    writtenSince: writtenSince(pending, run.startedAt, lastStartedAt),
  });
  if (definition.freshness === undefined || signature === null || pending?.hasSameDefinitions) {
    return [success];
  }
  return [success, markObstructed(stateSchema, rootsOfDefinition(definition))];
}

/**
 * Whether it is known that a refresh would give the same rows: never for a view that tracks less than it reads.
 */
export function wouldGiveSameRows(
  { freshness }: ViewDefinition,
  pending: Pick<PendingChanges, 'isUnchanged'> | undefined,
): boolean {
  return freshness?.readsSources === true && pending?.isUnchanged === true;
}
