import type { LockWatch } from '../definition/lock.watch.js';
import { SyncLockTimeoutError } from '../errors/schema.errors.js';
import { lock } from '../postgres/advisory-lock.sql.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';

/** The messages for a lock that is not free in time. */
interface LockTaken {
  what: string;
  hint: string;
  view?: string;
}

/** The message if another process creates or changes views for too long. */
export const SYNC_LOCK_TAKEN: LockTaken = {
  what: 'The lock for creating and changing materialized views has been held for longer than syncTimeout.',
  hint: 'See what its holder is doing (pg_stat_activity), or raise syncTimeout.',
};

/**
 * Takes one of the library's locks, and waits for it as long as the transaction's `lock_timeout` allows.
 *
 * @throws SyncLockTimeoutError naming the holder
 */
export async function waitForLock(
  session: Session,
  locks: LockWatch,
  key: string,
  { what, hint, view }: LockTaken,
): Promise<void> {
  try {
    await locks.during(() => session.query(lock(key)));
  } catch (cause) {
    if (errorCode(cause) !== SqlState.lockNotAvailable) {
      throw cause;
    }
    // This transaction's locks must be released: others may be waiting for them.
    throw new SyncLockTimeoutError(
      `${what}${await locks.describe(key)} Nothing has been changed.`,
      {
        view,
        cause,
        hint,
      },
    );
  }
}
