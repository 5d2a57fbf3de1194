import { runInNewContext } from 'node:vm';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { MigrationFile } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';

/** A generated migration, run on the test's own session as TypeORM would run it. */
export class GeneratedMigration {
  private readonly migration: MigrationInterface;

  constructor(
    private readonly database: TestDatabase,
    { source }: MigrationFile,
  ) {
    const module: { exports: Record<string, new () => MigrationInterface> } = { exports: {} };
    runInNewContext(source, { module });
    const [Migration] = Object.values(module.exports);
    if (Migration === undefined) {
      throw new Error(`No class in ${source}`);
    }
    this.migration = new Migration();
  }

  /** In a transaction of its own: whole, or not at all. */
  async run(way: 'up' | 'down'): Promise<void> {
    const { database } = this;
    const runner = {
      query: (text: string, values?: unknown[]) => database.query(text, values),
    } as unknown as QueryRunner;
    await database.query('BEGIN');
    try {
      await this.migration[way](runner);
      await database.query('COMMIT');
    } catch (error) {
      await database.query('ROLLBACK');
      throw error;
    }
  }
}
