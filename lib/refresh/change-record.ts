import type { ViewDefinition } from '../definition/view-definition.js';
import { rootsOfDefinition } from '../freshness/capture-needs.js';
import { type ChangeRow, selectChanges } from '../postgres/change.sql.js';
import { recordSuccess, type SuccessRecord } from '../postgres/history.sql.js';
import { markObstructed, obstacleReasons } from '../postgres/obstacle.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';

/** Asks what has changed of what a view reads; nothing for a view that is not told of changes. */
export function questionOfChanges(
  stateSchema: string,
  { name, freshness }: ViewDefinition,
): SqlStatement[] {
  return freshness === undefined ? [] : [selectChanges(stateSchema, [name])];
}

/**
 * Since when there are writes that a refresh brings, for those who read the view. After a change that no
 * log tells of, such as a refresh of a view below, they may be as old as the rows of before.
 *
 * @param startedAt of the refresh; like all instants milliseconds since the epoch
 * @param lastStartedAt of the one before, or `null`
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
 * Records a success, and what the view has seen.
 *
 * @param before what had changed before the refresh, and when the last one started
 */
export function successStatements(
  stateSchema: string,
  definition: ViewDefinition,
  run: Omit<SuccessRecord, 'signature' | 'writtenSince'>,
  before: { changes?: ChangeRow; lastStartedAt: number | null },
): SqlStatement[] {
  const { changes, lastStartedAt } = before;
  const signature = changes?.signature ?? null;
  const success = recordSuccess(stateSchema, {
    ...run,
    signature,
    writtenSince: writtenSince(changes, run.startedAt, lastStartedAt),
  });
  const { freshness } = definition;
  if (freshness === undefined || signature === null || changes?.are_definitions_stored) {
    return [success];
  }
  const reasons = obstacleReasons(freshness.skipsUnchanged);
  return [success, markObstructed(stateSchema, rootsOfDefinition(definition), reasons)];
}
