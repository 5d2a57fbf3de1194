import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { DataSource, type EntityManager } from 'typeorm';
import {
  InvalidOptionsError,
  RefreshBusyError,
  RefreshLockError,
  RefreshService,
  RefreshTimeoutError,
  ViewQueryError,
} from '../../../lib/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const NAME = { schema: 'Analytics eu', name: 'daily "Revenue"' };

const Revenue = viewClass({
  ...NAME,
  expression: `SELECT id, 100 / amount AS ratio, current_setting('work_mem') AS memory FROM public.orders`,
  columns: ['id', 'ratio', 'memory'],
  key: ['id'],
  refresh: { settings: { work_mem: '7MB', 'app.tenant': 'eu' } },
});

const Total = viewClass({
  name: 'total',
  expression: 'SELECT count(*)::int AS n FROM "Analytics eu"."daily ""Revenue"""',
  columns: ['n'],
  key: ['n'],
});

const Orders = viewClass({ name: 'order_ids', expression: 'SELECT id FROM public.orders' });

const Slow = viewClass({
  name: 'slow',
  expression: 'SELECT 1 AS id FROM pg_sleep(60)',
  withData: false,
});

const SELDOM = { schema: 'public', name: 'seldom' };
const Seldom = viewClass({
  ...SELDOM,
  expression: 'SELECT id FROM public.orders',
  refresh: { minInterval: '1h' },
});

const IDS = 'SELECT id FROM "Analytics eu"."daily ""Revenue""" ORDER BY id';

describe('refreshing in a transaction of the caller', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int, amount int)');
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS order_ids, slow, seldom');
    await database.query('TRUNCATE orders');
    await database.query('INSERT INTO orders VALUES (1, 1)');
    app = await bootWith(database, {
      views: [Revenue, Total, Orders, Slow, Seldom],
      lockTimeout: '30s',
    });
    refreshes = app.get(RefreshService);
    // Refreshes the view under its `settings`, which its query reads.
    await refreshes.refresh(Revenue);
    await database.query('TRUNCATE materialized_views.refresh_history');
    dataSource = app.get(DataSource);
  });

  afterEach(async () => {
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const ids = async (): Promise<unknown[]> =>
    (await database.query<{ id: number }>(IDS)).map((row) => row.id);
  const idsIn = async (manager: EntityManager): Promise<unknown[]> =>
    (await manager.query<{ id: number }[]>(IDS)).map((row) => row.id);
  const insert = (manager: EntityManager, id: number): Promise<unknown> =>
    manager.query('INSERT INTO orders VALUES ($1, 1)', [id]);
  const history = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT outcome, inserted_count::int, deleted_count::int FROM materialized_views.refresh_history
       WHERE trigger <> 'sync' ORDER BY finished_at`,
    );
  const settings = async (manager: EntityManager): Promise<unknown> =>
    manager.query<unknown>(`SELECT current_setting('lock_timeout') AS lock, current_setting('work_mem') AS memory,
      coalesce(current_setting('app.tenant', true), '') AS tenant`);
  const isSaidFailure = (error: unknown): unknown => error;
  const holder = async (view = NAME): Promise<Client> => {
    const other = await database.session();
    await other.query('BEGIN');
    await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [refreshLockKey(view)]);
    return other;
  };

  it('sees its rows, and is committed with it', async () => {
    const result = await dataSource.transaction(async (manager) => {
      await insert(manager, 2);
      const refreshed = await refreshes.refresh(Revenue, { manager });
      expect(await idsIn(manager)).toEqual([1, 2]);
      expect(await ids()).toEqual([1]);
      expect(await history()).toEqual([]);
      return refreshed;
    });
    expect(result).toMatchObject({ outcome: 'refreshed', insertedCount: 1, deletedCount: 0 });
    expect(await ids()).toEqual([1, 2]);
    expect(await history()).toEqual([
      { outcome: 'refreshed', inserted_count: 1, deleted_count: 0 },
    ]);
  });

  it('runs one after the other, even if called at once', async () => {
    await database.query('INSERT INTO orders VALUES (3, 0)');
    await dataSource.transaction(async (manager) => {
      await insert(manager, 2);
      const [failed, refreshed] = await Promise.allSettled([
        refreshes.refresh(Revenue, { manager }),
        refreshes.refresh(Orders, { manager }),
      ]);
      expect(failed).toMatchObject({ reason: { code: 'MV_VIEW_QUERY_FAILED' } });
      expect(refreshed).toMatchObject({ value: { outcome: 'refreshed' } });
    });
    expect(await database.query('SELECT count(*)::int AS n FROM order_ids')).toEqual([{ n: 3 }]);
    expect(await history()).toMatchObject([{ outcome: 'refreshed' }]);
  });

  it("distinguishes the caller's time limit from a cancel", async () => {
    await dataSource.transaction(async (manager) => {
      await manager.query(`SET LOCAL statement_timeout = '50ms'`);
      const error = await refreshes.refresh(Slow, { manager }).catch(isSaidFailure);
      expect(error).toBeInstanceOf(RefreshTimeoutError);
      expect(await idsIn(manager)).toEqual([1]);
    });
  });

  it('is rolled back with it', async () => {
    const rolledBack = new Error('rolled back');
    const work = dataSource.transaction(async (manager) => {
      await insert(manager, 2);
      await refreshes.refresh(Revenue, { manager });
      expect(await idsIn(manager)).toEqual([1, 2]);
      throw rolledBack;
    });
    await expect(work).rejects.toThrow(rolledBack);
    expect(await ids()).toEqual([1]);
    expect(await history()).toEqual([]);
    expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
  });

  it('leaves it usable and as it was when the refresh fails', async () => {
    await dataSource.transaction(async (manager) => {
      await manager.query(`SET LOCAL lock_timeout = '3s'`);
      await insert(manager, 2);
      await manager.query('INSERT INTO orders VALUES (3, 0)');
      const before = await settings(manager);
      const failure = await refreshes.refresh(Revenue, { manager }).catch(isSaidFailure);
      expect(failure).toBeInstanceOf(ViewQueryError);
      expect(await settings(manager)).toEqual(before);
      await manager.query('DELETE FROM orders WHERE amount = 0');
      expect(await refreshes.refresh(Revenue, { manager })).toMatchObject({
        outcome: 'refreshed',
        insertedCount: 1,
      });
    });
    expect(await ids()).toEqual([1, 2]);
    expect(await history()).toHaveLength(1);
  });

  it('applies the settings of the view to the refresh only', async () => {
    await dataSource.transaction(async (manager) => {
      await manager.query(`SET LOCAL lock_timeout = '3s'`);
      const before = await settings(manager);
      await insert(manager, 2);
      await refreshes.refresh(Revenue, { manager });
      expect(await settings(manager)).toEqual(before);
      const memory = await manager.query<{ memory: string }[]>(
        'SELECT DISTINCT memory FROM "Analytics eu"."daily ""Revenue"""',
      );
      expect(memory).toEqual([{ memory: '7MB' }]);
    });
  });

  it('counts the rows of each of two refreshes', async () => {
    await dataSource.transaction(async (manager) => {
      await insert(manager, 2);
      expect(await refreshes.refresh(Revenue, { manager })).toMatchObject({ insertedCount: 1 });
      await insert(manager, 3);
      await insert(manager, 4);
      expect(await refreshes.refresh(Revenue, { manager })).toMatchObject({
        outcome: 'refreshed',
        insertedCount: 2,
        deletedCount: 0,
      });
      const blocking = await refreshes.refresh(Revenue, { manager, mode: 'blocking' });
      expect(blocking).toMatchObject({ mode: 'blocking', insertedCount: 4, deletedCount: 0 });
    });
    expect(await history()).toHaveLength(3);
    expect(await ids()).toEqual([1, 2, 3, 4]);
  });

  it('refreshes several views in their order', async () => {
    await dataSource.transaction(async (manager) => {
      await insert(manager, 2);
      const report = await refreshes.refreshMany([Total, Revenue], { manager });
      expect(report.views.map(({ view }) => view)).toEqual([
        'Analytics eu.daily "Revenue"',
        'public.total',
      ]);
      expect(await manager.query('SELECT n FROM total')).toEqual([{ n: 2 }]);
      expect(await database.query('SELECT n FROM total')).toEqual([{ n: 1 }]);
    });
    expect(await database.query('SELECT n FROM total')).toEqual([{ n: 2 }]);
  });

  it.each(['REPEATABLE READ', 'SERIALIZABLE'] as const)(
    'works in %s, whose rows are as old as its snapshot',
    async (isolation) => {
      await dataSource.transaction(isolation, async (manager) => {
        expect(await idsIn(manager)).toEqual([1]);
        const [late] = await database.query<{ at: Date }>(
          'INSERT INTO orders VALUES (2, 1) RETURNING clock_timestamp() AS at',
        );
        const result = await refreshes.refresh(Revenue, { manager });
        expect(result).toMatchObject({ outcome: 'refreshed' });
        expect(await idsIn(manager)).toEqual([1]);
        // A call made after the insert must not join this refresh, whose rows are older.
        expect(result.startedAt.getTime()).toBeLessThanOrEqual(late?.at.getTime() ?? 0);
      });
      expect(await ids()).toEqual([1]);
    },
  );

  it('skips, fails or waits while another refresh is running', async () => {
    const other = await holder();
    await dataSource.transaction(async (manager) => {
      expect(await refreshes.refresh(Revenue, { manager, onBusy: 'skip' })).toMatchObject({
        outcome: 'skipped',
        reason: 'busy',
      });
      await expect(refreshes.refresh(Revenue, { manager, onBusy: 'fail' })).rejects.toThrow(
        RefreshBusyError,
      );
      const waiting = refreshes.refresh(Revenue, { manager });
      await database.until(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      await other.end();
      expect(await waiting).toMatchObject({ outcome: 'refreshed' });
    });
    expect(await history()).toHaveLength(1);
  });

  it('takes into account what the refresh that it waited for has done', async () => {
    await database.query(
      `UPDATE materialized_views.view_state SET last_success_at = last_success_at - interval '2 h'`,
    );
    const other = await holder(SELDOM);
    await dataSource.transaction(async (manager) => {
      const waiting = refreshes.refresh(Seldom, { manager });
      await database.until(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      await other.query(
        `UPDATE materialized_views.view_state SET last_success_at = now() WHERE view_name = $1`,
        [SELDOM.name],
      );
      await other.query('COMMIT');
      expect(await waiting).toMatchObject({ outcome: 'skipped', reason: 'min_interval' });
    });
    await other.end();
  });

  it('waits no longer than lockTimeout, and the transaction goes on', async () => {
    await app.close();
    app = await bootWith(database, { views: [Revenue, Total], lockTimeout: 50 });
    const other = await holder();
    await app.get(DataSource).transaction(async (manager) => {
      const waiting = app.get(RefreshService).refresh(Revenue, { manager });
      await expect(waiting).rejects.toThrow(RefreshLockError);
      await insert(manager, 2);
    });
    await other.end();
    expect(await database.query('SELECT FROM orders')).toHaveLength(2);
  });

  it('holds its lock until the transaction ends', async () => {
    await dataSource.transaction(async (manager) => {
      await refreshes.refresh(Revenue, { manager });
      expect(await refreshes.refresh(Revenue, { onBusy: 'skip' })).toMatchObject({
        reason: 'busy',
      });
      expect(await refreshes.running()).toHaveLength(1);
    });
    expect(await refreshes.running()).toEqual([]);
  });

  it('works with a query runner whose transaction was begun by hand', async () => {
    const runner = dataSource.createQueryRunner();
    await runner.startTransaction();
    await insert(runner.manager, 2);
    expect(await refreshes.refresh(Revenue, { manager: runner.manager })).toMatchObject({
      outcome: 'refreshed',
    });
    await runner.commitTransaction();
    await runner.release();
    expect(await ids()).toEqual([1, 2]);
  });

  it('refuses a manager without a transaction, or of another data source', async () => {
    const refused = refreshes.refresh(Revenue, { manager: dataSource.manager });
    await expect(refused).rejects.toThrow(InvalidOptionsError);
    await expect(refused).rejects.toThrow(
      /expected `manager` to be the entity manager of an open tran.* got \[EntityManager\]/,
    );
    const runner = dataSource.createQueryRunner();
    await expect(refreshes.refresh(Revenue, { manager: runner.manager })).rejects.toThrow(
      /of an open transaction, as/,
    );
    await runner.release();
    await expect(refreshes.refresh(Revenue, { manager: null as never })).rejects.toThrow(
      InvalidOptionsError,
    );
    const other = await new DataSource({ type: 'postgres', url: database.url }).initialize();
    await other.transaction(async (manager) => {
      await expect(refreshes.refresh(Revenue, { manager })).rejects.toThrow(
        /expected `manager` to be one of data source "default"/,
      );
    });
    await other.destroy();
    await dataSource.transaction(async (manager) => {
      for (const option of [
        { timeout: 5 },
        { signal: AbortSignal.abort() },
        { mode: 'swap' as const },
      ]) {
        await expect(refreshes.refresh(Revenue, { manager, ...option })).rejects.toThrow(
          /absent with `manager`/,
        );
      }
    });
    expect(await history()).toEqual([]);
  });
});
