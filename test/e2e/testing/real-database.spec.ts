import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { getRepositoryToken } from '@nestjs/typeorm';
import type { TestingModule } from '@nestjs/testing';
import { DataSource, type QueryRunner, type Repository } from 'typeorm';
import { RefreshService, StatusError } from '../../../lib/index.js';
import { advance, expectFresh, tick, untilIdle, useLiveViews } from '../../../lib/testing/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const Orders = viewClass({
  schema: 'Analytics eu',
  name: 'order "Ids"',
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
  refresh: { on: 'sources', debounce: '0s' },
});
const Count = viewClass({
  name: 'order_count',
  expression: 'SELECT count(*)::int AS id FROM "Analytics eu"."order ""Ids"""',
  key: ['id'],
  refresh: { on: 'sources', debounce: '0s' },
});

describe('the testing helpers on a real database (features.md, row 11)', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let count: Repository<{ id: number }>;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int)');
  });

  beforeEach(async () => {
    app = await bootWith(database, { views: [Orders, Count], scheduling: true });
    await app.get(RefreshService).refreshAll();
    count = app.get(getRepositoryToken(Count as never));
  });

  afterEach(async () => {
    await app.close();
    await database.query('TRUNCATE orders');
  });

  afterAll(async () => {
    await database.drop();
  });

  it('untilIdle waits until what was written is in the views, and those above them', async () => {
    await database.query('INSERT INTO orders VALUES (1), (2)');
    await untilIdle(app);
    expect(await count.find()).toEqual([{ id: 2 }]);
    await expectFresh(app, Count);
  });

  it('tick does what a scheduled time does, as often as it is called', async () => {
    const Nightly = viewClass({
      name: 'nightly',
      expression: 'SELECT count(*)::int AS id FROM public.orders',
      refresh: { cron: YEARLY, skipUnchanged: true },
    });
    const other = await bootWith(database, { views: [Nightly] });
    try {
      const refreshes = other.get(RefreshService);
      await tick(other, Nightly);
      expect(await tick(other, Nightly)).toMatchObject({ outcome: 'skipped', reason: 'unchanged' });
      await database.query('INSERT INTO orders VALUES (1)');
      expect(await tick(other, Nightly)).toMatchObject({
        outcome: 'refreshed',
        trigger: 'schedule',
      });
      expect(await database.query('SELECT id FROM nightly')).toEqual([{ id: 1 }]);
      await refreshes.pause(Nightly);
      expect(await tick(other, Nightly)).toMatchObject({ outcome: 'skipped', reason: 'paused' });
      await expect(tick(app, Count)).rejects.toThrow(/"public.order_count" to have a schedule/);
    } finally {
      await other.close();
    }
  });

  it('advance makes a view with maxStaleness due, and its age what it would be', async () => {
    const Hourly = viewClass({
      name: 'hourly',
      expression: 'SELECT count(*)::int AS id FROM public.orders',
      refresh: { maxStaleness: '1h' },
    });
    const Daily = viewClass({
      name: 'at_most_daily',
      expression: 'SELECT 1 AS id',
      refresh: { minInterval: '1d' },
    });
    const other = await bootWith(database, { views: [Hourly, Daily], scheduling: true });
    try {
      const refreshes = other.get(RefreshService);
      await refreshes.refresh(Hourly);
      await advance(other, '30m');
      await database.query('INSERT INTO orders VALUES (1)');
      await advance(other, '59m');
      expect(await refreshes.status(Hourly)).toMatchObject({ isStale: false });
      await advance(other, '2m');
      await untilIdle(other);
      expect(await database.query('SELECT id FROM hourly')).toEqual([{ id: 1 }]);
      await expectFresh(other, Hourly);
      const [last] = await refreshes.history(Hourly);
      expect(last).toMatchObject({ trigger: 'staleness', outcome: 'refreshed' });
      expect(await refreshes.refresh(Daily)).toMatchObject({ reason: 'min_interval' });
      await advance(other, '1d');
      expect(await refreshes.refresh(Daily)).toMatchObject({ outcome: 'refreshed' });
      for (const duration of [-1, '1 fortnight', '5', NaN, undefined]) {
        await expect(advance(other, duration as never)).rejects.toThrow(
          /advance: expected `duration` to be a duration/,
        );
      }
    } finally {
      await other.close();
    }
  });

  it('untilIdle names the views that do not settle', async () => {
    const holder = await database.session();
    const key = refreshLockKey({ schema: 'Analytics eu', name: 'order "Ids"' });
    await holder.query('SELECT pg_advisory_lock($1)', [key]);
    await database.query('INSERT INTO orders VALUES (1)');
    const waiting = untilIdle(app, { timeout: 1 });
    await expect(waiting).rejects.toThrow(StatusError);
    await expect(waiting).rejects.toThrow(/not idle after 1: .*Analytics eu\.order "Ids"/);
    await holder.end();
    await untilIdle(app);
  });

  it('expectFresh says what a view lacks', async () => {
    await app.get(RefreshService).pause(Orders);
    await database.query('INSERT INTO orders VALUES (1)');
    await expect(expectFresh(app, Orders)).rejects.toThrow(
      /order "Ids".*tables that it tracks have changed/,
    );
    await app.get(RefreshService).resume(Orders);
  });

  describe('in a transaction of the test', () => {
    let queryRunner: QueryRunner;

    beforeEach(async () => {
      queryRunner = app.get(DataSource).createQueryRunner();
      await queryRunner.startTransaction();
    });

    afterEach(async () => {
      await queryRunner.rollbackTransaction();
      await queryRunner.release();
    });

    it('refreshes see its writes, and are rolled back', async () => {
      const { manager } = queryRunner;
      await queryRunner.query('INSERT INTO orders VALUES (1), (2), (3)');
      await app.get(RefreshService).refreshAll({ manager });
      expect(await manager.getRepository(Count).find()).toEqual([{ id: 3 }]);
      await queryRunner.rollbackTransaction();
      await queryRunner.startTransaction();
      expect(await count.find()).toEqual([{ id: 0 }]);
    });

    it('live views show each write at once, and are gone afterwards', async () => {
      await useLiveViews(app, queryRunner);
      const live = queryRunner.manager.getRepository(Count);
      await queryRunner.query('INSERT INTO orders VALUES (1), (2)');
      expect(await live.find()).toEqual([{ id: 2 }]);
      await queryRunner.query('DELETE FROM orders');
      expect(await live.find()).toEqual([{ id: 0 }]);
      await queryRunner.rollbackTransaction();
      await queryRunner.startTransaction();
      expect(
        await database.query(
          `SELECT relkind FROM pg_class WHERE relname IN ('order_count', 'order "Ids"')`,
        ),
      ).toEqual([{ relkind: 'm' }, { relkind: 'm' }]);
    });
  });

  it('live views need a transaction', async () => {
    const queryRunner = app.get(DataSource).createQueryRunner();
    await expect(useLiveViews(app, queryRunner)).rejects.toThrow(/in a transaction/);
    await queryRunner.release();
  });
});
