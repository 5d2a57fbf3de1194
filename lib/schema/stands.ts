import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { isRefusal } from '../postgres/sqlstate.js';

/**
 * Carries a statement out, if the server takes it.
 *
 * @returns whether it did
 * @throws what says nothing of the statement: a lock that could not be had, a lost connection
 */
export async function stands(session: Session, statement: SqlStatement): Promise<boolean> {
  try {
    await session.attempt(() => session.query(statement));
    return true;
  } catch (error) {
    if (isRefusal(error)) {
      return false;
    }
    throw error;
  }
}
