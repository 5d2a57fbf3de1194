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

/**
 * A transaction whose BEGIN is sent with its first statements, and whose COMMIT is sent with its last
 * ones.
 */
export interface FoldedTransaction {
  readonly session: Session;
  /** Begins it, and returns the rows of each statement. */
  open(statements: SqlStatement[]): Promise<QueryResultRow[][]>;
  /** Commits it, and returns the rows of each statement. */
  close(statements: SqlStatement[]): Promise<QueryResultRow[][]>;
  /** Rolls all of it back. Never throws: its error would hide the one that caused the rollback. */
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
   * Rolls all of it back and runs something else instead, in one round trip: other processes get
   * this transaction's locks, but little time before that is done.
   */
  async replaceWith(statements: SqlStatement[], limits: TransactionLimits): Promise<void> {
    await this.session.queryAllAndCommit([rollback(), begin(limits, this.server), ...statements]);
  }

  /** All of it in one round trip. */
  async whole(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    const first = begin(this.limits, this.server);
    return (await this.session.queryAllAndCommit([first, ...statements])).slice(1);
  }

  async undo(): Promise<void> {
    await this.session.queryAllBriefly([rollback()]).catch(() => undefined);
  }
}

/**
 * Inside the caller's transaction, between savepoints. The caller decides how it ends. Its settings
 * are restored afterwards.
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
    // Sent separately, so that the limit is known when a statement reaches it. A borrowed connection has no pipeline
    // anyway.
    return this.session.queryAll(statements);
  }

  async close(statements: SqlStatement[]): Promise<QueryResultRow[][]> {
    return this.session.queryAll([...statements, restoreSettings(this.settings), endInside()]);
  }

  async undo(): Promise<void> {
    await this.session.query(rollbackToSavepoint()).catch(() => undefined);
  }
}
