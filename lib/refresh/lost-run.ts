import { lock, selectLockHeldBy } from '../postgres/advisory-lock.sql.js';
import type { Database } from '../postgres/database.js';
import { type FinishedRow, selectRun } from '../postgres/history.sql.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';

/** A run that lost its connection. */
export interface LostRun {
  runId: string;
  lockKey: string;
  /** The backend that held the lock for it. */
  backendPid: number;
}

/**
 * Finds out the outcome of a run that lost its connection: its COMMIT may have been done all the
 * same. Its lock shows when its transaction has ended. After that, the run's row tells.
 *
 * @returns the row of the run; `undefined` if the run was not committed and never will be
 * @throws Error if that can't be found out now
 */
export async function findLostRun(
  database: Database,
  run: LostRun,
): Promise<FinishedRow | undefined> {
  const committed = selectRun(database.stateSchema, run.runId);
  return database.bookkeeping(async (session) => {
    // Another holder could only get the lock after this run, so there is no need to wait for it.
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
