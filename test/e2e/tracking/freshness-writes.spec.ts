import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { Column, DataSource, Entity, PrimaryGeneratedColumn } from 'typeorm';
import { MaterializedViewsModule, RefreshService } from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const HOSTILE = `we"ird 'view`;
const HISTORY = 'materialized_views.refresh_history';

@Entity('orders')
class Order {
  @PrimaryGeneratedColumn() id!: number;
  @Column() day!: string;
}

const daily: TestView = {
  name: 'daily',
  expression: 'SELECT day AS id, count(*)::int AS n FROM orders WHERE public.gate() GROUP BY day',
  columns: ['id', 'n'],
  refresh: { on: [Order], debounce: 50, maxWait: 5_000 },
};

/** Reads `daily`, whose refreshes count as writes. */
const weekly: TestView = {
  name: 'weekly',
  schema: HOSTILE,
  expression: 'SELECT 1 AS id, sum(n)::int AS n FROM public.daily',
  columns: ['id', 'n'],
  refresh: { on: 'sources', debounce: 0 },
};

describe('a view with `on`', () => {
  let database: TestDatabase;
  let apps: TestingModule[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "${HOSTILE.replace('"', '""')}" CASCADE;
       DROP TABLE IF EXISTS orders CASCADE;
       CREATE TABLE orders (id serial, day text)`,
    );
  });

  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  afterAll(async () => {
    await database.drop();
  });

  async function start(
    views: TestView[],
    options: Parameters<typeof MaterializedViewsModule.forRoot>[0] = {},
  ): Promise<TestingModule> {
    const entities = [...views.map(viewClass), Order] as (new () => object)[];
    const app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot(options),
    );
    apps.push(app);
    return app;
  }

  /** Resolves after the views' first refresh: until then, nothing is known about their changes. */
  const untilWatched = async (count = 1): Promise<void> => {
    await database.until(
      `SELECT FROM materialized_views.view_state
       WHERE source_signature IS NOT NULL AND last_success_at IS NOT NULL HAVING count(*) = $1`,
      [count],
    );
    await untilLooked();
    await database.query(`DELETE FROM ${HISTORY}`);
  };

  /** Resolves after new polls, and after the refreshes that they found due have begun. */
  const untilLooked = async (looks = 2): Promise<void> => {
    for (let look = 0; look < looks; look++) {
      const [now] = await database.query('SELECT clock_timestamp() AS at');
      await database.until(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND query = 'COMMIT' AND state_change > $1`,
        [now?.at],
      );
    }
  };

  const refreshes = (view = 'daily'): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT trigger, started_at FROM ${HISTORY}
       WHERE view_name = $1 AND outcome = 'refreshed' ORDER BY started_at`,
      [view],
    );

  const untilShown = (count: number): Promise<unknown> =>
    database.until(`SELECT FROM daily HAVING coalesce(sum(n), 0) = $1`, [count]);

  it.each([
    [
      'this application',
      (app: TestingModule) => app.get(DataSource).getRepository(Order).save({ day: 'mon' }),
    ],
    [
      'raw SQL',
      (app: TestingModule) => app.get(DataSource).query(`INSERT INTO orders (day) VALUES ('mon')`),
    ],
    ['another program', () => database.query(`INSERT INTO orders (day) VALUES ('mon')`)],
  ])('is refreshed once after a write by %s', async (_, write) => {
    const app = await start([daily]);
    await untilWatched();
    const [before] = await database.query('SELECT clock_timestamp() AS at');
    await write(app);
    await untilShown(1);
    await untilLooked();
    const runs = await refreshes();
    expect(runs).toMatchObject([{ trigger: 'write' }]);
    const [waited] = await database.query(
      `SELECT $1::timestamptz - $2::timestamptz >= interval '50 ms' AS enough`,
      [runs[0]?.started_at, before?.at],
    );
    expect(waited).toEqual({ enough: true });
  });

  it('is not refreshed for writes that are rolled back, or touch no row', async () => {
    await start([daily]);
    await untilWatched();
    await database.query(`BEGIN; INSERT INTO orders (day) VALUES ('mon'); ROLLBACK`);
    await database.query(`UPDATE orders SET day = 'tue'`);
    await untilLooked(3);
    expect(await refreshes()).toEqual([]);
  });

  it('is refreshed by maxWait while writes go on', async () => {
    await start([{ ...daily, refresh: { on: [Order], debounce: '1m', maxWait: '1m' } }]);
    await untilWatched();
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilLooked();
    expect(await refreshes()).toEqual([]);
    // As if the row was written 61 s ago; then another write follows.
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = last_started_at - interval '61 s';
       UPDATE materialized_views.change_log SET changed_at = changed_at - interval '61 s'`,
    );
    await database.query(`INSERT INTO orders (day) VALUES ('tue')`);
    await untilShown(2);
  });

  it.each([
    ['those that it reads', weekly],
    ['one that reads what it reads too', { ...weekly, expression: `${weekly.expression}, orders` }],
  ])('is refreshed after %s, once, and not before', async (_, view) => {
    await start([daily, view]);
    await untilWatched(2);
    const gate = await database.closeGate();
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await gate.untilReached();
    await untilLooked(3);
    expect(await refreshes('weekly')).toEqual([]);
    await gate.open();
    await database.until(`SELECT FROM "we""ird 'view".weekly WHERE n = 1`);
    await untilLooked(3);
    expect(await refreshes('daily')).toHaveLength(1);
    expect(await refreshes('weekly')).toHaveLength(1);
  });

  it('is refreshed once in a cluster', async () => {
    await Promise.all([start([daily]), start([daily]), start([daily])]);
    await untilWatched();
    for (let count = 1; count <= 3; count++) {
      await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
      await untilShown(count);
      await untilLooked(6);
      expect(await refreshes()).toHaveLength(count);
    }
  });

  it('is refreshed for what was written while no process ran', async () => {
    const app = await start([daily]);
    await untilWatched();
    await app.close();
    apps = [];
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await start([daily]);
    await untilShown(1);
    expect(await refreshes()).toHaveLength(1);
  });

  it('is left alone while it is paused, and by processes without scheduling', async () => {
    const app = await start([daily]);
    await untilWatched();
    await app.get(RefreshService).pause('public.daily');
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilLooked(3);
    expect(await refreshes()).toEqual([]);
    await app.close();
    apps = [];
    const other = await start([daily], { scheduling: false });
    await other.get(RefreshService).resume('public.daily');
    expect(await refreshes()).toEqual([]);
    await start([daily]);
    await untilShown(1);
  });

  it('is not refreshed again and again if the database does not know that it tracks writes', async () => {
    const plain = { ...daily, refresh: undefined };
    await start([plain], { scheduling: false });
    await start([daily], { synchronize: 'verify' });
    await untilLooked(4);
    expect(await refreshes()).toMatchObject([{ trigger: 'sync' }]);
  });

  it('is not refreshed again and again by an old release, after a new one has removed `on`', async () => {
    await start([daily]);
    await untilWatched();
    await start([{ ...daily, refresh: undefined }], { scheduling: false });
    await untilLooked(4);
    expect(await refreshes()).toEqual([]);
    expect(await database.query(`SELECT FROM pg_trigger WHERE tgname LIKE '%capture%'`)).toEqual(
      [],
    );
  });

  it('has its log pruned even if it is paused and nothing is refreshed', async () => {
    const paused = await start([daily], { scheduling: false });
    await paused.get(RefreshService).refresh('public.daily');
    await paused.get(RefreshService).pause('public.daily');
    await paused.close();
    apps = [];
    // Transaction 3 is older than all that the view has seen.
    const log = 'materialized_views.change_log';
    await database.query(
      `INSERT INTO ${log} (xid, source, kind) VALUES ('3', 'orders'::regclass, 'INSERT')`,
    );
    await start([daily]);
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM ${log} WHERE xid = '3')`);
    expect(await refreshes()).not.toContainEqual(expect.objectContaining({ trigger: 'write' }));
  });

  it('is refreshed when a partition with rows is attached', async () => {
    await database.query(
      `DROP TABLE orders; CREATE TABLE orders (id serial, day text) PARTITION BY LIST (day);
       CREATE TABLE old AS SELECT 1 AS id, 'mon' AS day; ALTER TABLE old ALTER id SET NOT NULL`,
    );
    await start([daily]);
    await untilWatched();
    await database.query(`ALTER TABLE orders ATTACH PARTITION old FOR VALUES IN ('mon')`);
    await untilShown(1);
    expect(await refreshes()).toHaveLength(1);
    await database.until(`SELECT FROM pg_trigger WHERE tgrelid = 'old'::regclass`);
    await database.query(`INSERT INTO old VALUES (2, 'mon')`);
    await untilShown(2);
  });

  it('stays empty once emptied, until something is written', async () => {
    const untilFilled = (): Promise<unknown> =>
      database.until(`SELECT FROM pg_class WHERE relname = 'daily' AND relispopulated`);
    const app = await start([{ ...daily, withData: false }]);
    await untilLooked();
    expect(await refreshes()).toEqual([]);
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilFilled();
    await app.get(RefreshService).refresh('public.daily', { withData: false });
    await untilLooked();
    expect(await refreshes()).toMatchObject([{ trigger: 'write' }, { trigger: 'demand' }]);
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilFilled();
  });

  it('backs off if it fails, and is refreshed when it can be', async () => {
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    const failing = {
      ...daily,
      expression: 'SELECT 1 / count(*) AS id, count(*)::int AS n FROM orders',
    };
    await start([failing], { sweepInterval: 200 });
    await untilWatched();
    await database.query(`TRUNCATE orders`);
    const [failed] = await database.until(
      `SELECT last_error_code, not_before > last_failure_at AS backs_off
       FROM materialized_views.view_state WHERE failure_count >= 2`,
    );
    expect(failed).toEqual({ last_error_code: '22012', backs_off: true });
    await database.query(`INSERT INTO orders (day) VALUES ('mon'), ('tue')`);
    await untilShown(2);
  });

  it('is polled again after the database could not be reached', async () => {
    const app = await start([daily]);
    await untilWatched();
    const warned = new Promise<string>((resolve) =>
      app.useLogger({ warn: resolve, log: () => undefined, error: () => undefined }),
    );
    await database.query('ALTER TABLE materialized_views.change_log RENAME TO elsewhere');
    expect(await warned).toMatch(
      /Could not check for changes in data source "default".*undefined table/,
    );
    await database.query('ALTER TABLE materialized_views.elsewhere RENAME TO change_log');
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilShown(1);
  });
});
