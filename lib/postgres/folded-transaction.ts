import type { QueryResultRow } from 'pg';
import { type Session, StandbyRefusal } from './session.js';
import type { SqlStatement } from './sql-statement.js';
import {
  begin,
  beginInside,
  endInside,
  restoreSettings,
  rollback,
  rollbackToSavepoint,
  selectSettings,
  selectStatementTimeout,
  type ServerAbilities,
  type SettingRow,
  type StatementTimeoutRow,
  type TransactionLimits,
} from './transaction.sql.js';

/** A transaction whose beginning travels with its first statements, and whose end with its last ones. */
export interface FoldedTransaction {
  readonly session: Session;
  /** Begins it; gives the rows of each of the statements. */
  open(statements: SqlStatement[]): Promise<QueryResultRow[][]>;
  /** Commits it; gives the rows of each of the statements. */
  close(statements: SqlStatement[]): Promise<QueryResultRow[][]>;
  /** Takes back all of it. Never throws: what it has to say would mask why it is called. */
  undo(): Promise<void>;
}

/** On a connection of the library's own. */
export class OwnTransaction implements FoldedTransaction {
  constructor(
    readonly session: Session,
    private readonly limits: TransactionLimits,
    private readonly server: ServerAbilities,
  ) {}

  async open(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    const first = begin(this.limits, this.server);
    try {
      return (await this.session.queryAllBriefly([first, ...statements])).slice(1);
    } catch (error) {
      throw this.session.failedStatement === first ? StandbyRefusal.from(error) : error;
    }
  }

  async close(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.session.queryAllAndCommit(statements);
  }

  /**
   * Takes back all of it and does something else instead, in one flight: with the locks of this
   * transaction gone, nobody gets far before that is done.
   */
  async replaceWith(statements: SqlStatement[], limits: TransactionLimits): Promise<void> {
    await this.session.queryAllAndCommit([rollback(), begin(limits, this.server), ...statements]);
  }

  /** All of it in one flight. */
  async whole(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    const first = begin(this.limits, this.server);
    return (await this.session.queryAllAndCommit([first, ...statements])).slice(1);
  }

  async undo(): Promise<void> {
    await this.session.queryAllBriefly([rollback()]).catch(() => undefined);
  }
}

/**
 * Inside a transaction of the caller's, between savepoints. Its end is the caller's to decide; its
 * settings are as they were when this is over.
 */
export class CallerTransaction implements FoldedTransaction {
  private settings: SettingRow[] = [];
  /** The caller's limit; 0 for none. */
  statementTimeoutMs = 0;

  /** @param settingNames those that the statements may change */
  constructor(
    readonly session: Session,
    private readonly settingNames: string[],
  ) {}

  async open(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    const [, settings, limits] = await this.session.queryAll([
      beginInside(),
      selectSettings(this.settingNames),
      selectStatementTimeout(),
    ]);
    this.settings = settings as SettingRow[];
    this.statementTimeoutMs = (limits as StatementTimeoutRow[])[0]?.statement_timeout_ms ?? 0;
    // Apart, so that the limit is known when one of them runs into it. A borrowed connection has no pipeline anyway.
    return this.session.queryAll(statements);
  }

  async close(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.session.queryAll([...statements, restoreSettings(this.settings), endInside()]);
  }

  async undo(): Promise<void> {
    await this.session.query(rollbackToSavepoint()).catch(() => undefined);
  }
}
