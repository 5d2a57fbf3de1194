import type { QueryConfig, QueryResultRow } from 'pg';
import { withItsSettings } from './own-settings.sql.js';
import { said, SessionLost } from './session-lost.js';
import type { SqlStatement } from './sql-statement.js';
import { errorCode, SqlState } from './sqlstate.js';
import { Statements } from './statements.js';
import { commit, rollback, type TransactionLimits } from './transaction.sql.js';
import { typeParsers } from './type-parsers.js';

/** How much later than its own limits allow the server's answer may arrive, before nobody is thought to be there. */
const ANSWER_MARGIN_MS = 10_000;

/**
 * A commit may have to write out all that a refresh has made, and to wait for a standby. Where it takes longer, what
 * became of it is looked up over another connection.
 */
const COMMIT_DEADLINE_MS = 30_000;

/** The longest time that a timer of Node can wait. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;

/**
 * A hot standby answers READ WRITE with 0A000, which anywhere else is some missing feature; so that
 * it is not taken for that, it gets the code that a standby gives to everything else.
 */
export class StandbyRefusal extends Error {
  readonly code = SqlState.readOnlyTransaction;

  /** @param error what BEGIN gave */
  static from(error: unknown): unknown {
    return errorCode(error) === SqlState.featureNotSupported
      ? new StandbyRefusal(said(error), { cause: error })
      : error;
  }
}

/** The answer to a COMMIT was ROLLBACK: some statement before it had failed, and nobody had minded. */
class CommitRefused extends Error {
  readonly code = SqlState.inFailedTransaction;
  /** It is what the server said. */
  readonly severity = 'ERROR';

  constructor() {
    super('the transaction was rolled back at its COMMIT, because a statement in it had failed');
  }
}

/** How long the server may take to answer, in milliseconds; 0 for no limit. */
interface Deadlines {
  /** For a statement that does the work. */
  ordinary: number;
  /** For a statement that takes no time but that of waiting for a lock. */
  brief: number;
}

/** What a session needs of a connection: one of the library's own, or the caller's. */
export interface SessionClient {
  query<Row extends QueryResultRow>(
    config: QueryConfig,
  ): Promise<{ rows: Row[]; command?: string }>;
  /** Ends the connection without asking the server. */
  cutOff(reason: string): void;
}

/** One connection, held for as long as its work lasts. */
export class Session extends Statements {
  private deadlines: Deadlines;
  private isCutOff = false;
  /** The statement that failed last. */
  failedStatement?: SqlStatement;

  /** @param deadlineMs how long an answer may take outside of transactions of ours; 0 for no limit */
  constructor(
    private readonly client: SessionClient,
    private readonly deadlineMs = ANSWER_MARGIN_MS,
  ) {
    super();
    this.deadlines = { ordinary: deadlineMs, brief: deadlineMs };
  }

  /**
   * Runs a statement. The server ends it by the limits of the transaction; when it does not even say
   * that, the connection is half open and would stay silent for ever: it is cut off.
   *
   * @throws SessionLost when the transport fails
   */
  async query<Row extends QueryResultRow>(
    statement: SqlStatement,
    deadlineMs = this.deadlines.ordinary,
  ): Promise<Row[]> {
    const [rows] = await this.flight([statement], () => deadlineMs);
    return rows as Row[];
  }

  /**
   * Sends all statements at once and waits for all answers: one round trip, where the connection is a
   * pipeline. After one that failed in a transaction the others fail too (25P02) and a COMMIT rolls
   * back, so that the first error tells.
   *
   * @param deadlineOf how long the answer to the statement at a position may take after the one before
   * @returns the rows of each statement
   * @throws SessionLost when the transport fails
   */
  private async flight(
    statements: SqlStatement[],
    deadlineOf: (position: number) => number,
  ): Promise<QueryResultRow[][]> {
    const sent = statements.flatMap((statement, position) =>
      withItsSettings(statement).map((each) => ({
        position,
        isItself: each === statement,
        answer: settled(this.answer(each)),
      })),
    );
    const rows: QueryResultRow[][] = [];
    let failure: { error: unknown; statement?: SqlStatement } | undefined;
    for (const { position, isItself, answer } of sent) {
      const settledAnswer = await this.inTime(answer, deadlineOf(position));
      if ('error' in settledAnswer) {
        failure ??= { error: settledAnswer.error, statement: statements[position] };
      } else if (isItself) {
        rows.push(settledAnswer.rows);
      }
    }
    if (failure !== undefined) {
      this.failedStatement = failure.statement;
      throw SessionLost.from(failure.error, this.isCutOff ? 'on_connection' : undefined);
    }
    return rows;
  }

  /** A flight of ordinary statements. */
  async queryAll(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight(statements, () => this.deadlines.ordinary);
  }

  /** A flight whose answers need not be waited for as long as for a refresh. */
  async queryAllBriefly(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight(statements, () => this.deadlines.brief);
  }

  /** A flight of ordinary statements with the COMMIT behind them. */
  async queryAllAndCommit(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight([...statements, commit()], (position) =>
      position === statements.length ? COMMIT_DEADLINE_MS : this.deadlines.ordinary,
    );
  }

  /** Like `query`, for a statement whose answer need not be waited for as long as for a refresh. */
  async queryBriefly<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    return this.query<Row>(statement, this.deadlines.brief);
  }

  /**
   * Runs `work` between `begin` and COMMIT. On an error the transaction is rolled back and the
   * first error is thrown: what a rollback on a lost connection has to say would only mask it.
   *
   * @param limits those that `begin` sets
   */
  async transaction<T>(
    begin: SqlStatement,
    work: () => Promise<T>,
    limits?: TransactionLimits,
  ): Promise<T> {
    try {
      await this.begin(begin);
      const result = limits === undefined ? await work() : await this.limitedTo(limits, work);
      await this.query(commit(), COMMIT_DEADLINE_MS);
      return result;
    } catch (error) {
      await this.query(rollback(), ANSWER_MARGIN_MS).catch(() => undefined);
      throw error;
    }
  }

  /** Runs `work`, whose statements may take as long as the limits of their transaction allow. */
  async limitedTo<T>(limits: TransactionLimits, work: () => Promise<T>): Promise<T> {
    this.deadlines = deadlinesOf(limits);
    try {
      return await work();
    } finally {
      this.deadlines = { ordinary: this.deadlineMs, brief: this.deadlineMs };
    }
  }

  private async begin(begin: SqlStatement): Promise<void> {
    try {
      await this.query(begin, ANSWER_MARGIN_MS);
    } catch (error) {
      throw StandbyRefusal.from(error);
    }
  }

  private async answer(statement: SqlStatement): Promise<{ rows: QueryResultRow[] }> {
    const answer = await this.client.query(queryConfig(statement));
    if (statement.text === commit().text && answer.command === rollback().text) {
      throw new CommitRefused();
    }
    return answer;
  }

  private async inTime<T>(answer: Promise<T>, deadlineMs: number): Promise<T> {
    const timer = deadlineMs > 0 ? this.cutOffAfter(deadlineMs) : undefined;
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  private cutOffAfter(deadlineMs: number): NodeJS.Timeout {
    const cutOff = (): void => {
      this.isCutOff = true;
      this.client.cutOff(`The server did not answer within ${deadlineMs} ms`);
    };
    return setTimeout(cutOff, Math.min(deadlineMs, MAX_DEADLINE_MS));
  }
}

/** The sum: a statement may set `statement_timeout` aside while it waits for its lock. */
function deadlinesOf({ lockTimeoutMs, statementTimeoutMs }: TransactionLimits): Deadlines {
  const brief = lockTimeoutMs + ANSWER_MARGIN_MS;
  return { ordinary: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + brief, brief };
}

type Answer = { rows: QueryResultRow[] } | { error: unknown };

/** The answers of a flight are looked at one after the other, and each may have failed by then. */
async function settled(answer: Promise<{ rows: QueryResultRow[] }>): Promise<Answer> {
  return answer.then(
    ({ rows }) => ({ rows }),
    (error: unknown) => ({ error }),
  );
}

function queryConfig({ text, values, isScript }: SqlStatement): QueryConfig {
  // pg's types do not know `queryMode`.
  const extended: QueryConfig & { queryMode: string } = {
    text,
    values,
    types: typeParsers,
    queryMode: 'extended',
  };
  return isScript ? { text } : extended;
}
