import type { ViewDefinition } from '../definition/view-definition.js';
import { rootsOfDefinition } from '../freshness/capture-needs.js';
import { type ChangeRow, selectChanges } from '../postgres/change.sql.js';
import { recordSuccess, type SuccessRecord } from '../postgres/history.sql.js';
import { forgetSignature, obstacleReasons } from '../postgres/source.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';

/** Asks what has changed of what a view reads; nothing for a view that is not told of changes. */
export function questionOfChanges(
  stateSchema: string,
  { name, freshness }: ViewDefinition,
): SqlStatement[] {
  return freshness === undefined ? [] : [selectChanges(stateSchema, [name])];
}

/**
 * Records a success, and what the view has seen.
 *
 * @param changes as they were before the refresh
 */
export function successStatements(
  stateSchema: string,
  definition: ViewDefinition,
  run: Omit<SuccessRecord, 'signature'>,
  changes: ChangeRow | undefined,
): SqlStatement[] {
  const signature = changes?.signature ?? null;
  const success = recordSuccess(stateSchema, { ...run, signature });
  const { freshness } = definition;
  if (freshness === undefined || signature === null || changes?.is_signature_stored) {
    return [success];
  }
  const reasons = obstacleReasons(freshness.skipsUnchanged);
  return [success, forgetSignature(stateSchema, rootsOfDefinition(definition), reasons)];
}
