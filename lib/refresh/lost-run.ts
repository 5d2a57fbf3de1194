import { lock, selectLockHeldBy } from '../postgres/advisory-lock.sql.js';
import type { Database } from '../postgres/database.js';
import { type FinishedRow, selectRun } from '../postgres/history.sql.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';

/** A run whose connection was lost in its middle. */
export interface LostRun {
  runId: string;
  lockKey: string;
  /** The backend that held the lock for it. */
  backendPid: number;
}

/**
 * Finds out what became of a run whose connection was lost: its COMMIT may have been done all the
 * same. The run's row tells, as soon as its transaction has ended, which its lock tells.
 *
 * @returns the row of the run; `undefined` when the run was not and will not be committed
 * @throws Error when that cannot be found out now
 */
export async function findLostRun(
  database: Database,
  run: LostRun,
): Promise<FinishedRow | undefined> {
  const committed = selectRun(database.stateSchema, run.runId);
  return database.bookkeeping(async (session) => {
    // Whoever else holds the lock by now could only get it after this run, and is not waited for.
    if (await holdsLock(session, run)) {
      await waitForLock(session, run.lockKey);
    }
    const isUnderWay = await holdsLock(session, run);
    const [finished] = await session.query<FinishedRow>(committed);
    if (finished === undefined && isUnderWay) {
      throw new Error('the refresh may still be running in the server');
    }
    return finished;
  });
}

async function holdsLock(session: Session, { lockKey, backendPid }: LostRun): Promise<boolean> {
  return (await session.query(selectLockHeldBy(lockKey, backendPid))).length > 0;
}

/** The server may need a second to see that its client is gone. */
async function waitForLock(session: Session, lockKey: string): Promise<void> {
  try {
    await session.attempt(() => session.query(lock(lockKey)));
  } catch (error) {
    if (errorCode(error) !== SqlState.lockNotAvailable) {
      throw error;
    }
  }
}
