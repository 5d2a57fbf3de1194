import type { QueryConfig, QueryResultRow } from 'pg';
import { withItsSettings } from './own-settings.sql.js';
import { said, SessionLost } from './session-lost.js';
import type { SqlStatement } from './sql-statement.js';
import { errorCode, SqlState } from './sqlstate.js';
import { Statements } from './statements.js';
import { commit, rollback, type TransactionLimits } from './transaction.sql.js';
import { typeParsers } from './type-parsers.js';

/** How much later than its limits allow the server's answer may arrive before the connection counts as dead. */
const ANSWER_MARGIN_MS = 10_000;

/**
 * A commit may have to write out everything that a refresh wrote, and wait for a standby. If it takes longer, its
 * outcome is looked up over another connection.
 */
const COMMIT_DEADLINE_MS = 30_000;

/** The longest time that a Node timer can wait. */
const MAX_DEADLINE_MS = 2 ** 31 - 1;

/**
 * A hot standby answers READ WRITE with 0A000, which elsewhere means a missing feature. So the
 * error gets the code that a standby returns for everything else.
 */
export class StandbyRefusal extends Error {
  readonly code = SqlState.readOnlyTransaction;

  /** @param error the error of BEGIN */
  static from(error: unknown): unknown {
    return errorCode(error) === SqlState.featureNotSupported
      ? new StandbyRefusal(said(error), { cause: error })
      : error;
  }
}

/** The answer to a COMMIT was ROLLBACK: an earlier statement had failed, and its error was ignored. */
class CommitRefused extends Error {
  readonly code = SqlState.inFailedTransaction;
  /** The server itself said it. */
  readonly severity = 'ERROR';

  constructor() {
    super('the transaction was rolled back at its COMMIT, because a statement in it had failed');
  }
}

/** How long the server may take to answer, in milliseconds; 0 means no limit. */
interface Deadlines {
  /** For a statement that does the work. */
  ordinary: number;
  /** For a statement that only takes time if it waits for a lock. */
  brief: number;
}

/** What a session needs from a connection, the library's own or the caller's. */
export interface SessionClient {
  query<Row extends QueryResultRow>(
    config: QueryConfig,
  ): Promise<{ rows: Row[]; command?: string }>;
  /** Closes the connection without asking the server. */
  cutOff(reason: string): void;
}

/** One connection, held for as long as its work lasts. */
export class Session extends Statements {
  private deadlines: Deadlines;
  private isCutOff = false;
  /** The last statement that failed. */
  failedStatement?: SqlStatement;

  /** @param deadlineMs how long an answer may take outside our own transactions; 0 means no limit */
  constructor(
    private readonly client: SessionClient,
    private readonly deadlineMs = ANSWER_MARGIN_MS,
  ) {
    super();
    this.deadlines = { ordinary: deadlineMs, brief: deadlineMs };
  }

  /**
   * Runs a statement. The server ends it by the limits of the transaction. If even that answer
   * doesn't come, the connection is half open and would stay silent for ever, so it is closed.
   *
   * @throws SessionLost if the transport fails
   */
  async query<Row extends QueryResultRow>(
    statement: SqlStatement,
    deadlineMs = this.deadlines.ordinary,
  ): Promise<Row[]> {
    const [rows] = await this.flight([statement], () => deadlineMs);
    return rows as Row[];
  }

  /**
   * Sends all statements at once and waits for all answers: one round trip, if the connection is a
   * pipeline. If one fails in a transaction, the later ones fail too (25P02) and COMMIT rolls back,
   * so the first error is the cause.
   *
   * @param deadlineOf how long the answer to the statement at a position may take, after the previous
   * answer
   * @returns the rows of each statement
   * @throws SessionLost if the transport fails
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

  /** One round trip of ordinary statements. */
  async queryAll(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight(statements, () => this.deadlines.ordinary);
  }

  /** One round trip whose answers should come sooner than that of a refresh. */
  async queryAllBriefly(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight(statements, () => this.deadlines.brief);
  }

  /** One round trip of ordinary statements followed by COMMIT. */
  async queryAllAndCommit(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.flight([...statements, commit()], (position) =>
      position === statements.length ? COMMIT_DEADLINE_MS : this.deadlines.ordinary,
    );
  }

  /** Like `query`, for a statement whose answer should come sooner than that of a refresh. */
  async queryBriefly<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    return this.query<Row>(statement, this.deadlines.brief);
  }

  /**
   * Runs `work` between `begin` and COMMIT. On an error, the transaction is rolled back and the
   * first error is thrown: the error of a rollback on a lost connection would only hide it.
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

/** The sum, because a statement may suspend `statement_timeout` while it waits for its lock. */
function deadlinesOf({ lockTimeoutMs, statementTimeoutMs }: TransactionLimits): Deadlines {
  const brief = lockTimeoutMs + ANSWER_MARGIN_MS;
  return { ordinary: statementTimeoutMs === 0 ? 0 : statementTimeoutMs + brief, brief };
}

type Answer = { rows: QueryResultRow[] } | { error: unknown };

/** The answers of a round trip are read one after the other, and each may have failed by then. */
async function settled(answer: Promise<{ rows: QueryResultRow[] }>): Promise<Answer> {
  return answer.then(
    ({ rows }) => ({ rows }),
    (error: unknown) => ({ error }),
  );
}

function queryConfig({ text, values, isScript }: SqlStatement): QueryConfig {
  // pg's types lack `queryMode`.
  const extended: QueryConfig & { queryMode: string } = {
    text,
    values,
    types: typeParsers,
    queryMode: 'extended',
  };
  return isScript ? { text } : extended;
}
