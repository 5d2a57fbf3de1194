import type { ClientBase, QueryConfig, QueryResultRow } from 'pg';
import type { SqlStatement } from './sql-statement.js';
import { errorCode, SESSION_LOST } from './sqlstate.js';
import {
  commit,
  releaseSavepoint,
  rollback,
  rollbackToSavepoint,
  savepoint,
} from './transaction.sql.js';

/**
 * The transport failed without a code of its own: a killed backend, an immediate stop of the
 * server or a cut connection. What was under way may or may not have been committed.
 */
export class SessionLost extends Error {
  readonly code = SESSION_LOST;

  static from(error: unknown): unknown {
    return error instanceof Error && errorCode(error) === undefined
      ? new SessionLost(error.message, { cause: error })
      : error;
  }
}

function queryConfig({ text, values, isScript }: SqlStatement): QueryConfig {
  // pg's types do not know `queryMode`, which pg has had since 8.12; before that it has no effect.
  const extended: QueryConfig & { queryMode: string } = { text, values, queryMode: 'extended' };
  return isScript ? { text } : extended;
}

/** One connection, held for as long as its work lasts. */
export class Session {
  constructor(private readonly client: ClientBase) {}

  async query<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    try {
      const result = await this.client.query<Row>(queryConfig(statement));
      return result.rows;
    } catch (error) {
      throw SessionLost.from(error);
    }
  }

  /**
   * Runs `work` between `begin` and COMMIT. On an error the transaction is rolled back and the
   * first error is thrown: what a rollback on a lost connection has to say would only mask it.
   */
  async transaction<T>(begin: SqlStatement, work: () => Promise<T>): Promise<T> {
    await this.query(begin);
    try {
      const result = await work();
      await this.query(commit());
      return result;
    } catch (error) {
      await this.query(rollback()).catch(() => undefined);
      throw error;
    }
  }

  /** Runs `work` and takes back what it did, settings too; also after an error, which is thrown. */
  async undone<T>(work: () => Promise<T>): Promise<T> {
    await this.query(savepoint());
    try {
      return await work();
    } finally {
      await this.query(rollbackToSavepoint());
    }
  }

  /** Runs `work`, and takes back what it did when it fails, so that the transaction can go on. */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    await this.query(savepoint());
    try {
      const result = await work();
      await this.query(releaseSavepoint());
      return result;
    } catch (error) {
      await this.query(rollbackToSavepoint());
      throw error;
    }
  }
}
