import type { Statements } from '../postgres/statements.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { isRefusal } from '../postgres/sqlstate.js';

/**
 * Carries a statement out, if the server takes it.
 *
 * @returns whether it did
 * @throws what says nothing of the statement: a lock that could not be had, a lost connection
 */
export async function stands(session: Statements, statement: SqlStatement): Promise<boolean> {
  return (await refusalOf(session, statement)) === undefined;
}

/** The same, with the error of a statement that the server does not take; `undefined` when it does. */
export async function refusalOf(session: Statements, statement: SqlStatement): Promise<unknown> {
  try {
    await session.attempt(() => session.query(statement));
    return undefined;
  } catch (error) {
    if (isRefusal(error)) {
      return error;
    }
    throw error;
  }
}
