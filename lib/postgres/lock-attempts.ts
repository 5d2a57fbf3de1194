import type { Session } from './session.js';
import { errorCode, SqlState } from './sqlstate.js';
import { setLocalLockTimeout } from './transaction.sql.js';

/** The waits for locks go from the first to the last, doubling, and begin again. */
const FIRST_WAIT_MS = 10;

/**
 * Well below PostgreSQL's deadlock_timeout (1 s). A reader of several views may hold one and wait for
 * another, and the session that has waited that long first detects the deadlock and may be cancelled.
 */
const LAST_WAIT_MS = 300;

/** The attempts may take `lockTimeout` times this in all. */
const PATIENCE = 5;

/**
 * The last attempt to create triggers: longer than `deadlock_timeout`, because only then does PostgreSQL cancel
 * an autovacuum that is in the way.
 */
const LAST_WAIT_FOR_TABLES_MS = 1_500;

export interface Patience {
  /** How long the attempts may take together. */
  totalMs: number;
  /** How long one more attempt after those waits. */
  lastWaitMs?: number;
}

/** For triggers that must be created now. */
export function longForCaptures(lockTimeoutMs: number): Patience {
  return { totalMs: PATIENCE * lockTimeoutMs, lastWaitMs: LAST_WAIT_FOR_TABLES_MS };
}

/** For triggers that can also be created later. */
export function briefForCaptures(lockTimeoutMs: number): Patience {
  return { totalMs: lockTimeoutMs, lastWaitMs: LAST_WAIT_FOR_TABLES_MS };
}

const LOCKED: ReadonlySet<string | undefined> = new Set([
  SqlState.lockNotAvailable,
  SqlState.deadlockDetected,
]);

/**
 * Runs work that locks views against their readers, and passes it how long it may wait for all these locks together. If it doesn't get a lock within a short
 * time, it is rolled back, which lets waiting readers through, and tried again. The statements that take the locks must be one script: every round trip
 * between two locks is a chance for a deadlock.
 */
export async function patiently<T>(
  session: Session,
  lockTimeoutMs: number,
  work: (waitMs: number) => Promise<T>,
  { totalMs, lastWaitMs }: Patience = { totalMs: PATIENCE * lockTimeoutMs },
): Promise<T> {
  const deadline = performance.now() + totalMs;
  let isLast = false;
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = isLast ? (lastWaitMs ?? 0) : nextWait(waitMs)) {
    try {
      return await session.attempt(async () => {
        const limitMs = Math.min(waitMs, lockTimeoutMs);
        await session.query(setLocalLockTimeout(limitMs));
        const result = await work(Math.min(limitMs, LAST_WAIT_MS));
        await session.query(setLocalLockTimeout(lockTimeoutMs));
        return result;
      });
    } catch (error) {
      const isOver = performance.now() > deadline;
      if (!isLockFailure(error) || isLast || (isOver && lastWaitMs === undefined)) {
        throw error;
      }
      isLast = isOver;
    }
  }
}

/** Whether the work failed because it didn't get a lock. */
export function isLockFailure(error: unknown): boolean {
  return LOCKED.has(codeOf(error));
}

/** Whether the server had no room for that many locks at once. */
export function isOutOfLocks(error: unknown): boolean {
  return codeOf(error) === SqlState.outOfMemory;
}

/** The library's own errors may have no code, but have PostgreSQL's error as their cause. */
function codeOf(error: unknown): string | undefined {
  return errorCode(error) ?? errorCode((error as { cause?: unknown } | null)?.cause);
}

function nextWait(waitMs: number): number {
  return waitMs >= LAST_WAIT_MS ? FIRST_WAIT_MS : Math.min(2 * waitMs, LAST_WAIT_MS);
}
