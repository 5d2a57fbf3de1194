import type { QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { type DatabaseState, readDatabaseState } from './database-state.js';

/** More than enough: for each failure another swap has to end during the read. */
const ATTEMPTS = 10;

/**
 * Reads what the database has, also while others swap views. PostgreSQL's functions that give definitions do not use
 * the statement's snapshot: when a swap has dropped a view since, they fail because it cannot be opened (XX000), and
 * the read is tried again.
 *
 * The transaction is rolled back to a savepoint for the sake of its locks: up to PostgreSQL 15, reading a view's
 * definition leaves a lock on the view. A refresh may wait for it, and if this session then waited for that refresh,
 * it would be a deadlock.
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
