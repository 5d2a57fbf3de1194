import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import type { QualifiedName } from '../../../lib/postgres/identifier.js';
import { isStale } from '../../support/change-detector.js';
import {
  anyHistory,
  CREATE_TABLES,
  type History,
  reading,
  REFUSALS,
  type Step,
  TABLES,
} from '../../support/inheritance-history.js';
import { RunningApp } from '../../support/running-app.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const VIEWS = [
  { schema: 'Odd schema', name: `rows "of' all` },
  { schema: 'public', name: 'some_rows' },
];

const statement = (sql: string): Step => ({ do: 'statement', sql });

describe('tables that inherit, and partitions', () => {
  let database: TestDatabase;
  let module: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  afterEach(stop);

  afterAll(() => database.drop());

  async function stop(): Promise<void> {
    await module?.close();
    module = undefined;
  }

  async function start(reads: readonly string[][]): Promise<RunningApp> {
    await stop();
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Odd schema", public CASCADE; CREATE SCHEMA public; ${CREATE_TABLES}`,
    );
    const views = VIEWS.map((name, position) =>
      viewClass({
        ...name,
        expression: reading(reads[position] ?? []),
        columns: ['id', 'x', 'k'],
        refresh: { on: 'sources', debounce: 0 },
      }),
    );
    module = await bootWith(database, { views, synchronize: true });
    return new RunningApp(module, { views: [], synchronize: true, wakeUp: 'poll' });
  }

  const service = (): RefreshService => (module as TestingModule).get(RefreshService);

  /** No stale view may be reported as unchanged. */
  async function check(after: unknown): Promise<void> {
    for (const view of VIEWS) {
      if (await isStale(database.client, view)) {
        expect({ after, view, isUnchanged: await isUnchanged(view) }).toEqual({
          after,
          view,
          isUnchanged: false,
        });
      }
    }
  }

  async function isUnchanged({ schema, name }: QualifiedName): Promise<boolean | undefined> {
    return (await service().status(`${schema}.${name}`)).changes?.isUnchanged;
  }

  async function unlessRefused(sql: string): Promise<boolean> {
    try {
      await database.query(sql);
      return true;
    } catch (error) {
      if (!REFUSALS.includes((error as { code: string }).code)) {
        throw error;
      }
      return false;
    }
  }

  async function together(statements: readonly string[]): Promise<void> {
    await database.query('BEGIN');
    for (const sql of statements) {
      await database.query('SAVEPOINT before');
      if (!(await unlessRefused(sql))) {
        await database.query('ROLLBACK TO before');
      }
    }
    await database.query('COMMIT');
  }

  async function perform(step: Step, app: RunningApp): Promise<void> {
    switch (step.do) {
      case 'statement':
        await unlessRefused(step.sql);
        return;
      case 'together':
        await together(step.statements);
        return;
      case 'refresh':
        await service().refreshAll();
        return;
      case 'repair':
        await app.repair();
        return;
      case 'look':
        await app.look();
    }
  }

  /** After a repair and a poll, every view is fresh and reported as unchanged. */
  async function rest(app: RunningApp): Promise<void> {
    await app.repair();
    await app.look();
    for (const view of VIEWS) {
      const stale = await isStale(database.client, view);
      expect({ view, isStale: stale, isUnchanged: await isUnchanged(view) }).toEqual({
        view,
        isStale: false,
        isUnchanged: true,
      });
    }
  }

  /** Refreshes all views, then checks that a write is not missed, whatever table it names. */
  async function checkEachTable(): Promise<void> {
    for (const table of TABLES) {
      await service().refreshAll();
      const sql = `UPDATE ${table} SET x = x + 1`;
      await unlessRefused(sql);
      await check(sql);
    }
  }

  async function checkHistory({ reads, steps }: History): Promise<void> {
    const app = await start(reads);
    await rest(app);
    for (const step of steps) {
      await perform(step, app);
      await check(step);
    }
    await checkEachTable();
    await rest(app);
  }

  it('never leave a view with old rows that counts as unchanged', async () => {
    await fc.assert(fc.asyncProperty(anyHistory, checkHistory), {
      seed: Number(process.env.FC_SEED ?? 20261128),
      numRuns: Number(process.env.FC_RUNS ?? 30),
      interruptAfterTimeLimit: 90_000,
      markInterruptAsFailure: false,
      examples: [
        [
          {
            reads: [['a'], ['p']],
            steps: [
              statement('ALTER TABLE c INHERIT a'),
              statement('ALTER TABLE c INHERIT b'),
              { do: 'repair' },
            ],
          },
        ],
        [
          {
            reads: [['c'], ['between']],
            steps: [
              statement('ALTER TABLE c INHERIT b'),
              { do: 'repair' },
              statement('ALTER TABLE b INHERIT a'),
            ],
          },
        ],
      ],
    });
  }, 240_000);

  it('do not count as unchanged while a partition is half detached', async () => {
    const [{ version } = { version: 0 }] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    // PostgreSQL 13 and older cannot detach in two transactions.
    const how = version >= 140_000 ? 'CONCURRENTLY' : '';
    await start([['p'], ['a']]);
    await database.query(
      `CREATE TABLE made_1 PARTITION OF p FOR VALUES IN (1); INSERT INTO p VALUES (1, 1)`,
    );
    await service().refreshAll();
    const [reader, detaching] = await Promise.all([database.session(), database.session()]);
    await reader.query(how === '' ? 'BEGIN' : 'BEGIN; SELECT FROM p');
    const detached = detaching.query(`ALTER TABLE p DETACH PARTITION made_1 ${how}`);
    await database.until('SELECT WHERE NOT EXISTS (SELECT FROM p)');
    await check('half detached');
    await service().refreshAll();
    await reader.query('COMMIT');
    await detached;
    await check('detached');
    await Promise.all([reader.end(), detaching.end()]);
  });
});
