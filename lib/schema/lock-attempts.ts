import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { SchemaStepError } from './schema-error.js';

/** The waits for locks go from the first to the last, doubling, and begin again. */
const FIRST_WAIT_MS = 10;

/**
 * Well below PostgreSQL's deadlock_timeout (1 s): a reader of several views may hold one and wait for
 * another, and whoever waits that long first is the one that finds the deadlock, and may be shot.
 */
const LAST_WAIT_MS = 300;

/** How often `lockTimeout` the attempts may take together. */
const PATIENCE = 5;

const LOCKED: ReadonlySet<string | undefined> = new Set([
  SqlState.lockNotAvailable,
  SqlState.deadlockDetected,
]);

/**
 * Runs work that locks views against their readers. When it cannot have a lock within a short time it is
 * taken back, which lets waiting readers through, and tried again. The statements that take the
 * locks belong into one script: every round trip between two locks is a chance for a deadlock.
 */
export async function patiently<T>(
  session: Session,
  lockTimeoutMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + PATIENCE * lockTimeoutMs;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = nextWait(waitMs)) {
    try {
      return await session.attempt(async () => {
        await session.query(setLocalLockTimeout(Math.min(waitMs, lockTimeoutMs)));
        const result = await work();
        await session.query(setLocalLockTimeout(lockTimeoutMs));
        return result;
      });
    } catch (error) {
      const code = errorCode(error instanceof SchemaStepError ? error.cause : error);
      if (!LOCKED.has(code) || performance.now() > deadline) {
        throw error;
      }
    }
  }
}

function nextWait(waitMs: number): number {
  return waitMs >= LAST_WAIT_MS ? FIRST_WAIT_MS : Math.min(2 * waitMs, LAST_WAIT_MS);
}
