import { runInNewContext } from 'node:vm';
import type { Client } from 'pg';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { MigrationFile } from '../../../../lib/index.js';
import type { TestDatabase } from '../../../support/test-database.js';

/** A generated migration that runs on the test's own session, as TypeORM would run it. */
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

  /** Runs in its own transaction: completely or not at all. */
  async run(way: 'up' | 'down'): Promise<void> {
    await this.transaction(way, this.database.client, { end: 'COMMIT' });
  }

  /**
   * Runs `up` in a session that is terminated before the given statement.
   *
   * @returns whether the migration has that many statements
   */
  async isKilled(statement: number): Promise<boolean> {
    const session = await this.database.session();
    session.on('error', () => undefined);
    const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    let count = 0;
    try {
      const beforeEach = async (): Promise<void> => {
        if (++count === statement) {
          await this.database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
          await this.database.until(
            'SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)',
            [rows[0]?.pid],
          );
        }
      };
      await this.transaction('up', session, { beforeEach, end: 'ROLLBACK' });
    } catch {
      // The session was terminated, or the migration refused to run.
    } finally {
      await session.end().catch(() => undefined);
    }
    return count >= statement;
  }

  private async transaction(
    way: 'up' | 'down',
    client: Client,
    { beforeEach, end }: { beforeEach?: () => Promise<void>; end: 'COMMIT' | 'ROLLBACK' },
  ): Promise<void> {
    const runner = {
      query: async (text: string, values?: unknown[]) => {
        await beforeEach?.();
        return (await client.query(text, values)).rows as unknown[];
      },
    } as unknown as QueryRunner;
    await client.query('BEGIN');
    try {
      await this.migration[way](runner);
      await client.query(end);
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined);
      throw error;
    }
  }
}
