import { displayName, displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { SyncPolicy } from '../definition/module.options.js';
import type { CaptureDifference } from './capture-diff.js';
import { allowsChanges } from '../definition/policy-rights.js';

/** What it means when a table that a view needs is not captured. */
const MEANWHILE =
  'Until then writes to a table that is not captured may lead to no refresh, ticks of views that read it are not skipped, and with `maxStaleness` those are refreshed by their age';

/** What a role needs to capture the changes of tables. */
export const OWNERSHIP_HINT =
  'The role must own the tables, or be a member of their owner: only then may it make triggers that always fire. A migration that their owner runs can make them.';

/** A difference in words, for logs and errors. */
export function describeCaptureDifference(difference: CaptureDifference): string | undefined {
  switch (difference.kind) {
    case 'capture-missing':
      return `changes of "${displayName(difference.table)}" are not captured`;
    case 'capture-changed':
      return `the triggers that capture changes of "${displayName(difference.table)}" were changed`;
    case 'table-missing':
      return `\`refresh.on\` of ${difference.view.target.name} names "${displayName(difference.table)}", which does not exist`;
    case 'capture-superfluous':
      return 'its changes are captured, and no view needs them any more';
    case 'capture-left-over':
      return undefined;
  }
}

/** For the log at boot: the locks of a step could not be had. */
export function describePostponed({
  reason,
  isTooLarge,
}: {
  reason: string;
  isTooLarge: boolean;
}): string {
  const cause = isTooLarge
    ? 'The server has no room for locks on all tables of this step at once (`max_locks_per_transaction`)'
    : 'The tables of this step are locked for long, by a transaction or by VACUUM';
  return `${cause}, and so it is put off: ${reason}. ${MEANWHILE}. It is tried again in the background, table by table; nothing else has been put off.`;
}

/** For the log: tables could not be captured, or the policy does not allow it. */
export function describeUncaptured(tables: QualifiedName[], reason: string): string {
  return `Changes of ${displayNames(tables)} are not captured: ${reason}. ${MEANWHILE}.`;
}

/** For the log: what a boot put off, apart from capturing tables, could not be done since. */
export function describeUnfinished(reason: string): string {
  return `Not all that the boot put off has been done: triggers that no view needs may still be on their tables, and writers may not notify as \`wakeUp\` says. ${reason}.`;
}

const IDLE: ReadonlySet<string> = new Set<CaptureDifference['kind']>([
  'capture-superfluous',
  'capture-left-over',
]);

/** For the log: triggers that no view needs, where the policy does not allow to drop them; `undefined` for none. */
export function describeIdle(
  differences: readonly (CaptureDifference | { kind: string })[],
  policy: SyncPolicy,
): string | undefined {
  const tables = differences.flatMap((each) =>
    'subject' in each && IDLE.has(each.kind) ? [each.subject] : [],
  );
  return allowsChanges(policy) || tables.length === 0
    ? undefined
    : `No class of this process declares a view that has to know the changes of ${displayNames(tables)}, and they are captured all the same: writers go on paying for it. Unless a newer release needs them, take the triggers away with SchemaService.apply or a generated migration.`;
}
