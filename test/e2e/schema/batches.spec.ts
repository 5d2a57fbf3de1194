import { channel } from 'node:diagnostics_channel';
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { ConsoleLogger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { MaterializedViewChannels, type SchemaPlan, type SyncReport } from '../../../lib/index.js';
import { type PostgresServer, startPostgres } from '../../../sample/support/postgres-server.js';
import { managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const COUNT = 60;

const named = (index: number): string => `view_${index}`;

/** Every tenth view reads the next one, which is declared after it; some name another view in `dependsOn`. */
function view(index: number, expression?: string): TestView {
  const next = `bench.${named(index + 1)}`;
  const reads = index % 10 === 0 ? next : 'public.items';
  return {
    schema: 'bench',
    name: named(index),
    expression: expression ?? `SELECT id FROM ${reads} WHERE id <> ${index}`,
    key: ['id'],
    refresh: { on: 'sources' },
    ...(index % 7 === 1 && { dependsOn: [`bench.${named(index + 5)}`] }),
  };
}

const VIEWS = Array.from({ length: COUNT }, (_, index) => view(index));
const BROKEN = VIEWS.map((each, index) =>
  index === COUNT - 2 ? view(index, 'SELECT id, 1 / (id - id) AS x FROM public.items') : each,
);

/** The most locks that a boot holds if it creates all views at once, measured on a server with enough room. */
async function locksOfAll(): Promise<number> {
  const database = await TestDatabase.create();
  try {
    await database.query(`
      CREATE TABLE items AS SELECT id FROM generate_series(1, 100) AS id;
      CREATE SEQUENCE peak;
      CREATE FUNCTION count_locks() RETURNS event_trigger LANGUAGE plpgsql AS $$
      BEGIN
        PERFORM setval('public.peak', greatest(
          (SELECT last_value FROM public.peak),
          (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid())
        ));
      END $$;
      CREATE EVENT TRIGGER counts_locks ON ddl_command_end EXECUTE FUNCTION count_locks()`);
    await (await bootWith(database, { views: VIEWS.map(viewClass), application: 'tests' })).close();
    const [row] = await database.query<{ peak: number }>(
      'SELECT last_value::int AS peak FROM peak',
    );
    return Number(row?.peak);
  } finally {
    await database.drop();
  }
}

describe('more new views than the server has room for locks', () => {
  let server: PostgresServer;
  let freeLocks: number;
  let database: TestDatabase;
  let holder: Client;
  let app: TestingModule | undefined;
  const warnings = jest.spyOn(ConsoleLogger.prototype, 'warn');

  beforeAll(async () => {
    const settings = { max_locks_per_transaction: 10, max_connections: 20 };
    server = await startPostgres(process.env.POSTGRES_PACKAGE, { settings });
    // Half of the locks: too few for all views, but enough for the first batch, a quarter of the views.
    freeLocks = Math.floor((await locksOfAll()) / 2);
  });

  beforeEach(async () => {
    database = await TestDatabase.create(server.url);
    await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 100) AS id');
    holder = await database.session();
    const full = holder.query(`SELECT pg_advisory_lock(n) FROM generate_series(1, 10000000) AS n`);
    await expect(full).rejects.toMatchObject({ code: '53200' });
    await holder.query(`SELECT pg_advisory_unlock(n) FROM generate_series(1, $1::int) AS n`, [
      freeLocks,
    ]);
  });

  afterEach(async () => {
    warnings.mockReset();
    await app?.close();
    app = undefined;
    await holder.end();
    await database.drop();
  });

  afterAll(async () => {
    warnings.mockRestore();
    await server.stop();
  });

  const start = async (views: TestView[]): Promise<void> => {
    app = await bootWith(database, { views: views.map(viewClass), application: 'tests' });
  };

  /** How many views exist, and how many of them are complete: populated, with their state and an index. */
  async function made(): Promise<{ views: number; whole: number }> {
    const [row] = await database.query<{ views: number; whole: number }>(
      `SELECT count(*)::int AS views,
              count(*) FILTER (WHERE c.relispopulated AND s.fingerprint IS NOT NULL AND s.capture IS NOT NULL
                AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid))::int AS whole
       FROM pg_class c
       LEFT JOIN materialized_views.view_state s ON s.view_name = c.relname
       WHERE c.relkind = 'm'`,
    );
    return row ?? { views: 0, whole: 0 };
  }

  it('are made in batches, each of which stays whole', async () => {
    const reports: SyncReport[] = [];
    const take = (report: unknown): number => reports.push(report as SyncReport);
    channel(MaterializedViewChannels.sync).subscribe(take);
    await start(VIEWS);
    channel(MaterializedViewChannels.sync).unsubscribe(take);
    expect(await made()).toEqual({ views: COUNT, whole: COUNT });
    expect(warnings).toHaveBeenCalledWith(
      expect.stringContaining(`its ${COUNT} new views are made in batches`),
      expect.anything(),
    );
    expect(reports.at(-1)?.counts).toMatchObject({ created: COUNT, unchanged: 0, failed: 0 });
    expect(
      await database.query(`SELECT tgname FROM pg_trigger WHERE tgrelid = 'items'::regclass`),
    ).toHaveLength(4);
  });

  it('stay as far as they were made where one fails, and the next boot goes on', async () => {
    const failure = await start(BROKEN).then(
      () => undefined,
      (error: Error) => error,
    );
    const before = await made();
    expect(failure?.message).toContain('division by zero');
    expect(failure?.message).toContain(
      `${before.views} of ${COUNT} new views exist by now, made in batches, and stay. Nothing else has been changed; the next boot or sync goes on`,
    );
    expect(failure?.message).not.toContain('Nothing has been changed');
    expect(before.views).toBeGreaterThan(0);
    expect(before.views).toBeLessThan(COUNT);
    expect(before.whole).toBe(before.views);
    await start(VIEWS);
    expect(await made()).toEqual({ views: COUNT, whole: COUNT });
  });

  it('are made in batches by a sync too, whatever a boot may create', async () => {
    app = await bootWith(database, {
      ...{ views: VIEWS.map(viewClass), application: 'tests', synchronize: false },
    });
    const plans: SchemaPlan[] = [];
    const report = await managed(app).schema.sync({}, (plan) => {
      plans.push(plan);
      return Promise.resolve();
    });
    expect(await made()).toEqual({ views: COUNT, whole: COUNT });
    expect(report.counts).toMatchObject({ created: COUNT, unchanged: 0, failed: 0 });
    expect(plans.at(-1)?.steps).toEqual([]);
  });

  it('are none where a query stands on nothing', async () => {
    await expect(start([...VIEWS, view(COUNT, 'SELECT id FROM public.nowhere')])).rejects.toThrow(
      '"public.nowhere" does not exist',
    );
    expect(await database.query(`SELECT relname FROM pg_class WHERE relkind = 'm'`)).toEqual([]);
  });
});
