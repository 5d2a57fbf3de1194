import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { type DatabaseState, readDatabaseState } from './database-state.js';

/** More than enough: for each failure another swap has to end during the read. */
const ATTEMPTS = 10;

/** What another session's swap does to a read: see below. */
const PASSING: ReadonlySet<string | undefined> = new Set([
  SqlState.internalError,
  SqlState.deadlockDetected,
]);

/**
 * Reads what the database has, also while others swap views. PostgreSQL's functions that give definitions do not use
 * the statement's snapshot: when a swap has dropped a view since, they fail because it cannot be opened (XX000), and
 * the read is tried again.
 *
 * The transaction is rolled back to a savepoint for the sake of its locks: up to PostgreSQL 15, reading a view's
 * definition leaves a lock on the view. A refresh may wait for it, and if this session then waited for that refresh,
 * it would be a deadlock. With a swap that waits for one of the views that were read, while this session waits for another,
 * it is one: whoever finds it out is shot, and reads again.
 */
export async function readSteadily(
  session: Session,
  stateSchema: string,
  declared: QualifiedName[],
): Promise<DatabaseState> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await session.undone(() => readDatabaseState(session, stateSchema, declared));
    } catch (error) {
      if (!PASSING.has(errorCode(error)) || attempt === ATTEMPTS) {
        throw error;
      }
    }
  }
}
