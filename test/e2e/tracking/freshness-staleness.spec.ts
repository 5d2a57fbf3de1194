import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { MaterializedViewsModule, RefreshService } from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const HOSTILE = `we"ird 'view`;
const QUOTED = `"we""ird 'view"`;
const HISTORY = 'materialized_views.refresh_history';

/** Has no `refresh` options. */
const base: TestView = {
  name: HOSTILE,
  schema: HOSTILE,
  expression: 'SELECT day AS id, count(*)::int AS n FROM public.orders GROUP BY day',
  columns: ['id', 'n'],
};

const top: TestView = {
  name: 'top',
  expression: `SELECT 1 AS id, coalesce(sum(n), 0)::int AS n FROM between_them`,
  columns: ['id', 'n'],
  refresh: { maxStaleness: '1h' },
};

describe('a view with `maxStaleness`', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE SCHEMA ${QUOTED}`);
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views CASCADE;
       DROP TABLE IF EXISTS orders CASCADE;
       CREATE TABLE orders (id serial, day text);
       CREATE MATERIALIZED VIEW ${QUOTED}.${QUOTED} AS ${base.expression};
       CREATE VIEW between_them AS SELECT * FROM ${QUOTED}.${QUOTED}`,
    );
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  async function start(...views: TestView[]): Promise<TestingModule> {
    const entities = views.map(viewClass) as (new () => object)[];
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot({ unmanagedDependents: 'rebuild' }),
    );
    return app;
  }

  /** Resolves after the views' first refresh: until then, nothing is known about their changes. */
  const untilWatched = async (count = 2): Promise<void> => {
    await database.until(
      `SELECT FROM materialized_views.view_state WHERE last_success_at IS NOT NULL HAVING count(*) = $1`,
      [count],
    );
    await untilLooked(3);
    await database.query(`DELETE FROM ${HISTORY}`);
  };

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

  const refreshes = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT view_name, trigger FROM ${HISTORY} WHERE outcome = 'refreshed' ORDER BY started_at`,
    );

  /** Makes all changes and refreshes older. */
  const age = (by: string): Promise<unknown> =>
    database.query(
      `WITH state AS (
         UPDATE materialized_views.view_state SET last_started_at = last_started_at - $1::interval
       )
       UPDATE materialized_views.change_log SET changed_at = changed_at - $1::interval`,
      [by],
    );

  const both = [
    { view_name: HOSTILE, trigger: 'staleness' },
    { view_name: 'top', trigger: 'staleness' },
  ];

  it('is refreshed after what it reads, before a write is too old, and not unnecessarily', async () => {
    await start(base, top);
    await untilWatched();
    await untilLooked();
    expect(await refreshes()).toEqual([]);

    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await age('50 minutes');
    await untilLooked(3);
    expect(await refreshes()).toEqual([]);

    await age('595 seconds');
    await database.until(`SELECT FROM top WHERE n = 1`);
    expect(await refreshes()).toEqual(both);
    await untilLooked(3);
    expect(await refreshes()).toEqual(both);
  });

  it('captures the tables that only those below it read, as long as it exists', async () => {
    const captured = `SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger
                      WHERE tgname LIKE 'materialized_views%'`;
    await start(base, top);
    expect(await database.query(captured)).toEqual([{ name: 'orders' }]);
    await app?.close();
    await start(base, top);
    expect(await database.query(captured)).toEqual([{ name: 'orders' }]);
    await app?.close();
    await start(base, { ...top, refresh: undefined });
    expect(await database.query(captured)).toEqual([]);
  });

  it('is refreshed by age if what is below it cannot be tracked', async () => {
    await start({ ...base, expression: `${base.expression} HAVING now() IS NOT NULL` }, top);
    await untilWatched();
    await untilLooked();
    expect(await refreshes()).toEqual([]);
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = last_started_at - interval '1 hour'`,
    );
    await database.until(
      `SELECT FROM ${HISTORY} WHERE view_name = 'top' AND outcome = 'refreshed'`,
    );
    expect(await refreshes()).toEqual(both);
  });

  it('is refreshed by age if one below it tracks only a part of what it reads', async () => {
    await database.query('CREATE TABLE IF NOT EXISTS others (id int)');
    await start({ ...base, refresh: { on: ['public.others'], debounce: 0 } }, top);
    await untilWatched();
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await untilLooked();
    expect(await refreshes()).toEqual([]);
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = last_started_at - interval '1 hour'`,
    );
    await database.until(`SELECT FROM top WHERE n = 1`);
    expect(await refreshes()).toEqual(both);
  });

  it('counts from the write when a view below it was refreshed by others', async () => {
    await start(base, top);
    await untilWatched();
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await age('50 minutes');
    await app?.get(RefreshService).refresh(`${HOSTILE}.${HOSTILE}`);
    await untilLooked(3);
    const demanded = { view_name: HOSTILE, trigger: 'demand' };
    expect(await refreshes()).toEqual([demanded]);

    await age('595 seconds');
    await database.until(`SELECT FROM top WHERE n = 1`);
    expect(await refreshes()).toEqual([demanded, both[1]]);
  });
});
