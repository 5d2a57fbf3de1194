import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { SyncPolicy } from '../materialized-views.options.js';
import type { PlanStep } from './plan-step.js';
import type { SchemaDiff } from './schema-diff.js';
import { allowsChanges } from './sync-policy.js';

/** What it means when a table is not captured on which a view relies. */
const MEANWHILE =
  'Until then writes to a table that is not captured may lead to no refresh, ticks of views that read it are not skipped, and with `maxStaleness` those are refreshed by their age';

/** At boot: a step for which the locks could not be had. */
export function describePostponed({ reason }: PlanStep): string {
  return `The tables of this step are locked for long, by a transaction or by VACUUM, and so it is put off: ${reason}. ${MEANWHILE}. It is tried again in the background; nothing else has been put off.`;
}

/** Tables that could not be captured, or may not be. */
export function describeUncaptured(tables: QualifiedName[], reason: string): string {
  return `Changes of ${list(tables)} are not captured: ${reason}. ${MEANWHILE}.`;
}

/** Triggers that stay for nothing, where the policy does not let them be taken away; `undefined` for none. */
export function describeIdle(
  { superfluousCaptures, leftOverCaptures = [] }: SchemaDiff,
  policy: SyncPolicy,
): string | undefined {
  const tables = [...superfluousCaptures, ...leftOverCaptures];
  return allowsChanges(policy) || tables.length === 0
    ? undefined
    : `No class of this process declares a view that has to know the changes of ${list(tables)}, and they are captured all the same: writers go on paying for it. Unless a newer release needs them, take the triggers away with SchemaService.apply or a generated migration.`;
}

function list(tables: QualifiedName[]): string {
  return tables.map((table) => `"${displayName(table)}"`).join(', ');
}
