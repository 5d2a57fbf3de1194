import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { type DatabaseState, readDatabaseState } from './database-state.js';

/** Each would have to meet the end of another swap. */
const ATTEMPTS = 10;

/**
 * Reads what the database has while others swap views. PostgreSQL's functions on definitions do not keep to the
 * statement's snapshot: of a view that a swap has dropped since, they say that it cannot be opened (XX000).
 *
 * Undone, for the locks: up to PostgreSQL 15 who reads a view's definition holds a lock on the view, for which a
 * refresh may wait, and whoever then waits for that refresh is in a deadlock.
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
      if (errorCode(error) !== SqlState.internalError || attempt === ATTEMPTS) {
        throw error;
      }
    }
  }
}
