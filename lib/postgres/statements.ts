import type { QueryResultRow } from 'pg';
import type { SqlStatement } from './sql-statement.js';
import { releaseSavepoint, rollbackToSavepoint, savepoint } from './transaction.sql.js';

/** What takes statements, within a transaction. */
export abstract class Statements {
  abstract query<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]>;

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
