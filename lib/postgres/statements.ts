import type { QueryResultRow } from 'pg';
import type { SqlStatement } from './sql-statement.js';
import { releaseSavepoint, rollbackToSavepoint, savepoint } from './transaction.sql.js';

/** Runs statements within a transaction. */
export abstract class Statements {
  abstract query<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]>;

  /**
   * Runs `work` and rolls back what it did, including settings. After an error too, which is then
   * thrown.
   */
  async undone<T>(work: () => Promise<T>): Promise<T> {
    await this.query(savepoint());
    try {
      return await work();
    } finally {
      await this.query(rollbackToSavepoint());
    }
  }

  /** Runs `work`. If it fails, rolls back what it did, so that the transaction can go on. */
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
