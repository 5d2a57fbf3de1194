import { refreshLockKey } from '../postgres/advisory-lock.js';
import { lockOrSayWhose } from '../postgres/advisory-lock.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { setLocalLimits } from '../postgres/transaction.sql.js';
import { waitForLock } from './lock-wait.js';
import type { PreparationContext } from './preparation-context.js';

/**
 * Waits for refreshes to end, and keeps new ones away until the transaction ends. Always in the same
 * order, so that two of these never wait for each other. Waiting for an advisory lock doesn't stop
 * readers, unlike waiting for the view itself.
 */
export async function holdOffRefreshes(
  session: Session,
  { syncTimeoutMs, limits, locks }: PreparationContext,
  names: QualifiedName[],
): Promise<void> {
  // statementTimeout is for work, and would end the wait early.
  await session.query(setLocalLimits({ lockTimeoutMs: syncTimeoutMs, statementTimeoutMs: 0 }));
  const byKey = new Map(names.map((name) => [refreshLockKey(name), displayName(name)]));
  for (const key of [...byKey.keys()].sort()) {
    const view = byKey.get(key);
    await waitForLock(session, locks, key, {
      what: `The refresh lock of materialized view "${view}" has been held for longer than syncTimeout, and the view cannot be changed meanwhile.`,
      hint: 'Wait for the refresh or cancel it, or raise syncTimeout.',
      view,
    });
  }
  await session.query(setLocalLimits(limits));
}

/** The statements that do the same on one of the application's connections, as in a migration. */
export function lockRefreshes(names: readonly QualifiedName[]): SqlStatement[] {
  const byKey = new Map(names.map((name) => [refreshLockKey(name), displayName(name)]));
  return [...byKey]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, view]) => lockOrSayWhose(key, `"${view}" cannot be changed`));
}
