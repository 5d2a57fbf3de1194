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
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import {
  MaterializedViewsModule,
  RefreshService,
  InvalidOptionsError,
  StatusError,
  UnknownViewError,
  type ViewClass,
} from '../../../lib/index.js';
import { LibraryClient } from '../../../lib/postgres/library-client.js';
import { boot, bootWith, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const DailyRevenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day, sum(amount) AS revenue FROM public.orders WHERE public.gate() GROUP BY day`,
  columns: ['day', 'revenue'],
  key: ['day'],
  refresh: { cron: '0 */10 * * * *' },
});

const OrderTotal = viewClass({
  name: 'order_total',
  expression: `SELECT sum(amount) AS total FROM public.orders WHERE public.gate()`,
  columns: ['total'],
});

const Ratio = viewClass({
  name: 'ratio',
  expression: `SELECT id, 100 / amount AS ratio FROM public.orders`,
  columns: ['id', 'ratio'],
  key: ['id'],
  withData: false,
  refresh: { cron: '0 */10 * * * *' },
});

const REVENUE = `schema_name = 'Analytics eu' AND view_name = 'daily "Revenue"'`;

describe('status', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let refreshes: RefreshService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, day text, amount numeric)`);
    await database.createGate();
  });

  const restart = async (views: ViewClass[], synchronize = true): Promise<void> => {
    await app?.close();
    app = await bootWith(database, { views, synchronize });
    refreshes = app.get(RefreshService);
  };

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS order_total, ratio`);
    await database.query(`TRUNCATE orders RESTART IDENTITY`);
    await database.query(`INSERT INTO orders (day, amount) VALUES ('mon', 1), ('tue', 5)`);
    await restart([DailyRevenue, OrderTotal, Ratio]);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  const now = async (): Promise<number> => {
    const [row] = await database.query<{ now: Date }>('SELECT clock_timestamp() AS now');
    return row?.now.getTime() ?? 0;
  };

  it('reports the result of the last refresh, and its age', async () => {
    const result = await refreshes.refresh(DailyRevenue);
    await database.query('ANALYZE "Analytics eu"."daily ""Revenue"""');
    const status = await refreshes.status(DailyRevenue);
    const after = await now();

    expect(status).toMatchObject({
      view: 'Analytics eu.daily "Revenue"',
      dataSource: 'default',
      exists: true,
      isPopulated: true,
      isRefreshing: false,
      isPaused: false,
      failureCount: 0,
      lastSuccess: {
        at: result.finishedAt,
        startedAt: result.startedAt,
        runId: result.runId,
        durationMs: result.durationMs,
        mode: 'concurrently',
      },
      lastDurationMs: result.durationMs,
      isStale: false,
      rowCountEstimate: 2,
      concurrently: { isPossible: true },
      keyMayHaveNulls: false,
    });
    expect(status.lastFailure).toBeUndefined();
    expect(status.notBefore).toBeUndefined();
    expect(status.ageMs).toBeGreaterThanOrEqual(result.durationMs - 1);
    expect(status.ageMs).toBeLessThanOrEqual(after - result.startedAt.getTime());
    expect(status.nextTick?.getTime()).toBeGreaterThan(result.startedAt.getTime());
    expect((status.nextTick?.getTime() ?? 1) % 600_000).toBe(0);
    const [size] = await database.query<{ size: string }>(
      `SELECT pg_total_relation_size('"Analytics eu"."daily ""Revenue"""') AS size`,
    );
    expect(status.sizeBytes).toBe(Number(size?.size));
  });

  it('averages over the last 20 successes', async () => {
    await refreshes.refresh(DailyRevenue);
    await database.query(`DELETE FROM materialized_views.refresh_history WHERE ${REVENUE}`);
    await database.query(
      `INSERT INTO materialized_views.refresh_history
         (run_id, schema_name, view_name, trigger, outcome, started_at, finished_at, host)
       SELECT gen_random_uuid(), 'Analytics eu', 'daily "Revenue"', 'demand',
              CASE WHEN i = 3 THEN 'failed' ELSE 'refreshed' END,
              now() - i * interval '1 minute',
              now() - i * interval '1 minute' + CASE WHEN i > 21 OR i = 3 THEN 1000 ELSE 4 END * interval '1 ms',
              'test'
       FROM generate_series(1, 30) AS i`,
    );
    const status = await refreshes.status(DailyRevenue);
    expect(status.meanDurationMs).toBeCloseTo(4);
    // The history row is gone. The state still has the last success, but not its mode.
    expect(status.lastSuccess?.mode).toBeUndefined();
    expect(status.lastSuccess?.durationMs).toBeGreaterThanOrEqual(0);
  });

  it('reports a failure, and how long schedules back off', async () => {
    await refreshes.refresh(Ratio);
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 0)`);
    await expect(refreshes.refresh(Ratio)).rejects.toThrow();
    await expect(refreshes.refresh(Ratio)).rejects.toThrow();
    // Failed refreshes on demand don't make the schedule back off.
    expect((await refreshes.status(Ratio)).notBefore).toBeUndefined();
    await database.query(
      `UPDATE materialized_views.view_state SET not_before = '2100-01-01Z' WHERE view_name = 'ratio'`,
    );
    const status = await refreshes.status(Ratio);
    expect(status).toMatchObject({
      failureCount: 2,
      lastFailure: { errorCode: '22012', errorMessage: 'division by zero', outcome: 'failed' },
      notBefore: new Date('2100-01-01Z'),
      lastSuccess: { mode: 'blocking' },
    });
    expect(status.lastFailure?.at.getTime()).toBeGreaterThan(
      status.lastSuccess?.at.getTime() ?? Infinity,
    );

    await database.query(
      `UPDATE materialized_views.view_state SET not_before = now() - interval '1 s' WHERE view_name = 'ratio'`,
    );
    expect((await refreshes.status(Ratio)).notBefore).toBeUndefined();
  });

  it('sees a refresh of another process, a blocking one too, without waiting for it', async () => {
    const gate = await database.closeGate();
    const running = [refreshes.refresh(DailyRevenue), refreshes.refresh(OrderTotal)];
    await gate.untilReached(2);
    const other = await bootWith(database, {
      views: [DailyRevenue, OrderTotal, Ratio],
      synchronize: false,
    });
    const statuses = await other.get(RefreshService).statusAll();
    await gate.open();
    await Promise.all(running);
    expect(statuses).toMatchObject([
      { isRefreshing: true, concurrently: { isPossible: true } },
      { isRefreshing: true, concurrently: { isPossible: false, reason: 'no_unique_index' } },
      { isRefreshing: false },
    ]);
    expect(statuses.map((status) => status.sizeBytes !== undefined)).toEqual([true, false, true]);
    expect(await other.get(RefreshService).status(OrderTotal)).toMatchObject({
      isRefreshing: false,
      sizeBytes: expect.any(Number),
    });
    await other.close();
  });

  it('ignores a lock of another kind or database', async () => {
    const elsewhere = await TestDatabase.create();
    const view = { views: [DailyRevenue], synchronize: false };
    const holder = await elsewhere.session();
    const gate = await database.closeGate();
    const running = refreshes.refresh(DailyRevenue);
    await gate.untilReached();
    const [key] = await database.query<{ classid: string; objid: string }>(
      `SELECT l.classid::int8 AS classid, l.objid::int8 AS objid FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.classid <> 0`,
    );
    await gate.open();
    await running;
    await holder.query(`SELECT pg_advisory_lock(($1::int8 << 32) | $2::int8)`, [
      key?.classid,
      key?.objid,
    ]);
    // The same bits as two 32-bit keys are another lock.
    await database.query(
      `SELECT pg_advisory_lock(($1::int8::bit(32))::int4, ($2::int8::bit(32))::int4)`,
      [key?.classid, key?.objid],
    );
    const other = await bootWith(database, view);
    expect(await other.get(RefreshService).status(DailyRevenue)).toMatchObject({
      isRefreshing: false,
    });
    await other.close();
    await database.query('SELECT pg_advisory_unlock_all()');
    await holder.end();
    await elsewhere.drop();
  });

  it('is stale when two ticks have failed', async () => {
    await refreshes.refresh(DailyRevenue);
    const fresh = await refreshes.status(DailyRevenue);
    expect(fresh.isStale).toBe(false);
    expect(fresh.maxStalenessMs).toBeGreaterThan(600_000);
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = now() - interval '1 hour' WHERE ${REVENUE}`,
    );
    const stale = await refreshes.status(DailyRevenue);
    expect(stale.isStale).toBe(true);
    expect(stale.ageMs).toBeGreaterThanOrEqual(3_600_000);
    expect(stale.maxStalenessMs).toBeLessThan(1_260_000);
  });

  it('is never stale without a schedule', async () => {
    await database.query(
      `UPDATE materialized_views.view_state SET last_started_at = now() - interval '1 year'`,
    );
    const status = await refreshes.status(OrderTotal);
    expect(status).toMatchObject({ isStale: false, concurrently: { reason: 'no_unique_index' } });
    expect(status.maxStalenessMs).toBeUndefined();
    expect(status.nextTick).toBeUndefined();
  });

  it('reports an unpopulated view, a missing one and a paused one', async () => {
    await database.query('DROP MATERIALIZED VIEW order_total');
    await database.query(
      `UPDATE materialized_views.view_state SET paused_at = '2026-01-02 03:04:05Z' WHERE ${REVENUE}`,
    );
    const [revenue, total, ratio] = await refreshes.statusAll();
    expect(revenue).toMatchObject({ isPaused: true, pausedAt: new Date('2026-01-02T03:04:05Z') });
    expect(total).toMatchObject({
      view: 'public.order_total',
      exists: false,
      isPopulated: false,
      isPaused: false,
      concurrently: { isPossible: false },
    });
    expect(total?.sizeBytes).toBeUndefined();
    expect(ratio).toMatchObject({
      exists: true,
      isPopulated: false,
      isStale: true,
      concurrently: { isPossible: false, reason: 'unpopulated' },
    });
    expect(ratio?.lastSuccess).toBeUndefined();
    expect(ratio?.ageMs).toBeUndefined();
    expect(ratio?.rowCountEstimate).toBeUndefined();
  });

  it('reports NULLs in the key, and not those elsewhere', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES (NULL, 7), ('thu', NULL)`);
    await refreshes.refresh(DailyRevenue);
    await refreshes.refresh(Ratio);
    await database.query('ANALYZE "Analytics eu"."daily ""Revenue"""');
    await database.query('ANALYZE ratio');
    expect((await refreshes.status(DailyRevenue)).keyMayHaveNulls).toBe(true);
    expect((await refreshes.status(Ratio)).keyMayHaveNulls).toBe(false);
    // An INCLUDE column is not part of the key, and a refresh does not use a partial index.
    await database.query('CREATE UNIQUE INDEX ON ratio (id) INCLUDE (ratio)');
    await database.query('CREATE UNIQUE INDEX ON ratio (ratio) WHERE ratio > 50');
    expect((await refreshes.status(Ratio)).keyMayHaveNulls).toBe(false);
    await database.query('CREATE UNIQUE INDEX ON ratio (id, ratio)');
    expect((await refreshes.status(Ratio)).keyMayHaveNulls).toBe(true);
  });

  it('sends as many statements for twenty views as for one', async () => {
    const statements = jest.spyOn(LibraryClient.prototype, 'query');
    try {
      const counts: number[] = [];
      for (const count of [1, 20]) {
        const views = Array.from({ length: count }, (_, i) =>
          viewClass({ name: `many_${i}`, expression: 'SELECT 1 AS id', key: ['id'] }),
        );
        await restart(views);
        statements.mockClear();
        expect(await refreshes.statusAll()).toHaveLength(count);
        counts.push(statements.mock.calls.length);
      }
      expect(counts[0]).toBeGreaterThan(0);
      expect(counts[1]).toBe(counts[0]);
    } finally {
      statements.mockRestore();
    }
  });

  it('has the views of all data sources, or of one', async () => {
    const elsewhere = await TestDatabase.create();
    const Elsewhere = viewClass({ name: 'elsewhere', expression: 'SELECT 1 AS id', key: ['id'] });
    const both = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: [OrderTotal] }),
      typeOrm(elsewhere, {
        name: 'reporting',
        autoLoadEntities: false,
        entities: [Elsewhere],
      }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [OrderTotal], scheduling: false }),
      MaterializedViewsModule.forFeature([Elsewhere], 'reporting'),
    ).catch(async (error: unknown) => {
      await elsewhere.drop();
      throw error;
    });
    const service = both.get(RefreshService);
    const names = async (dataSource?: string): Promise<string[]> =>
      (await service.statusAll({ dataSource })).map((each) => `${each.dataSource}:${each.view}`);
    expect(await names()).toEqual(['default:public.order_total', 'reporting:public.elsewhere']);
    expect(await names('reporting')).toEqual(['reporting:public.elsewhere']);
    await expect(service.statusAll({ dataSource: 'other' })).rejects.toThrow(
      /registered in data source "other"\. .*: "default", "reporting"/,
    );
    await both.close();
    await elsewhere.drop();
  });

  it('refuses unknown arguments', async () => {
    await expect(refreshes.status('public.nothing')).rejects.toThrow(UnknownViewError);
    await expect(refreshes.status(Ratio, { dataSource: 1 } as never)).rejects.toThrow(
      InvalidOptionsError,
    );
    await expect(refreshes.statusAll(null as never)).rejects.toThrow(/expected `options`/);
  });

  it("says what is wrong if the library's own tables are missing", async () => {
    await database.query('DROP SCHEMA materialized_views CASCADE');
    await expect(refreshes.statusAll()).rejects.toThrow(StatusError);
    await expect(refreshes.status(Ratio)).rejects.toThrow(
      /Could not read the status of materialized view "public.ratio": .*42P01.*`stateSchema`/,
    );
  });
});
