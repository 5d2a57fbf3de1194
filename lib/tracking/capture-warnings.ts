import { displayName, displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { SyncPolicy } from '../definition/module.options.js';
import type { CaptureDifference } from './capture-diff.js';
import { allowsChanges } from '../definition/policy-rights.js';

/** What it means when a table that a view needs is not captured. */
const MEANWHILE =
  'Until then, writes to a table that is not captured may not trigger a refresh, ticks of views that read it are not skipped, and views with `maxStaleness` are refreshed by age';

/** What a role needs to capture the changes of tables. */
export const OWNERSHIP_HINT =
  'The role must own the tables, or be a member of their owner: only owners may create triggers that always fire. It also needs EXECUTE on the functions in the schema `stateSchema`, which the role that created that schema has. Or let the owner run a migration that creates the triggers.';

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

/** For the log at boot: a step didn't get its locks. */
export function describePostponed({
  reason,
  isTooLarge,
}: {
  reason: string;
  isTooLarge: boolean;
}): string {
  const cause = isTooLarge
    ? 'The server has no room for locks on all tables of this step at once (`max_locks_per_transaction`)'
    : 'The tables of this step have been locked for a long time, by a transaction or by VACUUM';
  return `${cause}, and so it is put off: ${reason}. ${MEANWHILE}. It is tried again in the background, table by table; nothing else has been put off.`;
}

/** For the log: tables could not be captured, or the policy doesn't allow it. */
export function describeUncaptured(tables: QualifiedName[], reason: string): string {
  return `Changes of ${displayNames(tables)} are not captured: ${reason}. ${MEANWHILE}.`;
}

/** For the log: what a boot put off, except capturing tables, could still not be done. */
export function describeUnfinished(reason: string): string {
  return `Some of what the boot put off is not done yet: triggers that no view needs may still be on their tables, and writers may not notify as \`wakeUp\` says. ${reason}.`;
}

const IDLE: ReadonlySet<string> = new Set<CaptureDifference['kind']>([
  'capture-superfluous',
  'capture-left-over',
]);

/** For the log: triggers that no view needs, if the policy doesn't allow dropping them; `undefined` for none. */
export function describeIdle(
  differences: readonly (CaptureDifference | { kind: string })[],
  policy: SyncPolicy,
): string | undefined {
  const tables = differences.flatMap((each) =>
    'subject' in each && IDLE.has(each.kind) ? [each.subject] : [],
  );
  return allowsChanges(policy) || tables.length === 0
    ? undefined
    : `No class of this process declares a view that tracks ${displayNames(tables)}, but writers still pay for the triggers on them. Unless a newer release needs these, remove them with SchemaService.apply or a generated migration.`;
}
