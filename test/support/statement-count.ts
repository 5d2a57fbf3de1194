import { Session } from '../../lib/postgres/session.js';
import type { SqlStatement } from '../../lib/postgres/sql-statement.js';

/** Statements that only frame a transaction or change a setting. */
const FRAME = /^(?:BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|RESET)\b/i;

/** The statements that the library sends while `work` runs, without those that match `FRAME`. */
export async function statementsOf(work: () => Promise<unknown>): Promise<string[]> {
  const sent: string[] = [];
  const prototype = Session.prototype as unknown as {
    flight(statements: SqlStatement[], deadlineOf: unknown): Promise<unknown>;
  };
  const { flight } = prototype;
  prototype.flight = function (statements, deadlineOf) {
    sent.push(...statements.map(({ text }) => text));
    return flight.call(this, statements, deadlineOf);
  };
  try {
    await work();
  } finally {
    prototype.flight = flight;
  }
  return sent.filter((text) => !FRAME.test(text));
}
