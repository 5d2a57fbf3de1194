import type { Statements } from '../postgres/statements.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { isRefusal } from '../postgres/sqlstate.js';

/**
 * Runs a statement, if the server accepts it.
 *
 * @returns whether it did
 * @throws errors that say nothing about the statement: a lock timeout, a lost connection
 */
export async function stands(session: Statements, statement: SqlStatement): Promise<boolean> {
  return (await refusalOf(session, statement)) === undefined;
}

/**
 * The same, returning the error of a statement that the server refuses; `undefined` if it accepts it.
 */
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
