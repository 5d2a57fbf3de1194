import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import type { Reading } from '../postgres/view-catalog.sql.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { type DatabaseState, readDatabaseState } from './database-state.js';

/** More than enough: each failure needs another swap to end during the read. */
const ATTEMPTS = 10;

/** The effects of another session's swap on a read: see below. */
const PASSING: ReadonlySet<string | undefined> = new Set([
  SqlState.internalError,
  SqlState.deadlockDetected,
]);

/**
 * Reads the database's state, even while others swap views. PostgreSQL's functions for definitions ignore the
 * statement's snapshot: if a swap has dropped a view since, they can't open it and fail (XX000), and the read is
 * tried again.
 *
 * The transaction is rolled back to a savepoint to release its locks: up to PostgreSQL 15, reading a view's definition
 * leaves a lock on the view. A refresh may wait for it, and if this session then waited for that refresh, it would be a
 * deadlock. If a swap waits for one of the views that were read while this session waits for another, it is one: PostgreSQL
 * cancels the session that detects it, which reads again.
 */
export async function readSteadily(
  session: Session,
  stateSchema: string,
  declared: QualifiedName[],
  reading?: Reading,
): Promise<DatabaseState> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await session.undone(() => readDatabaseState(session, stateSchema, declared, reading));
    } catch (error) {
      if (!PASSING.has(errorCode(error)) || attempt === ATTEMPTS) {
        throw error;
      }
    }
  }
}
