import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { RefreshService } from 'nestjs-materialized-views';
import {
  advance,
  expectFresh,
  MaterializedViewsTestingModule,
  type RecordingRefreshService,
  tick,
  untilIdle,
  useLiveViews,
} from 'nestjs-materialized-views/testing';
import { DataSource, type EntityManager } from 'typeorm';
import { AppModule } from '../src/app.module.js';
import { DailyRevenue } from '../src/daily-revenue.view.js';
import { RevenueService } from '../src/revenue.service.js';
import { TestDatabase } from './test-database.js';

describe('the same application without a database', () => {
  it('reads the rows given by the test, and records refreshes', async () => {
    const builder = Test.createTestingModule({
      imports: [AppModule.forDatabase('postgres://127.0.0.1:1/nobody')],
    });
    MaterializedViewsTestingModule.withoutDatabase(builder, {
      rows: [[DailyRevenue, [{ day: 'mon', revenue: '3' }]]],
    });
    const app = await (await builder.compile()).init();
    try {
      expect(await app.get(RevenueService).of('mon')).toMatchObject({ revenue: '3' });
      expect(await app.get(RevenueService).refresh()).toMatchObject({ outcome: 'refreshed' });
      const { calls } = app.get<RefreshService, RecordingRefreshService>(RefreshService);
      expect(calls).toMatchObject([{ method: 'refresh', views: [DailyRevenue] }]);
    } finally {
      await app.close();
    }
  });
});

describe('the same application on a real database', () => {
  let database: TestDatabase;
  let app: TestingModule;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.client.query(`CREATE TABLE orders (day text, amount numeric)`);
    const imports = [AppModule.forDatabase(database.url)];
    app = await (await Test.createTestingModule({ imports }).compile()).init();
  });

  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  const sale = `INSERT INTO orders VALUES ('mon', 3)`;
  const SOLD = [{ day: 'mon', revenue: '3' }];

  /** Records a sale in a transaction that it rolls back. Returns the view's rows as that transaction sees them. */
  async function inTransaction(
    before: (manager: EntityManager) => Promise<unknown>,
    after: (manager: EntityManager) => Promise<unknown>,
  ): Promise<DailyRevenue[]> {
    const queryRunner = app.get(DataSource).createQueryRunner();
    await queryRunner.startTransaction();
    try {
      await before(queryRunner.manager);
      await queryRunner.query(sale);
      await after(queryRunner.manager);
      return await queryRunner.manager.find(DailyRevenue);
    } finally {
      await queryRunner.rollbackTransaction();
      await queryRunner.release();
    }
  }

  const nothing = (): Promise<void> => Promise.resolve();

  it('refreshes in the transaction of a test', async () => {
    const refresh = (manager: EntityManager) => app.get(RefreshService).refreshAll({ manager });
    expect(await inTransaction(nothing, refresh)).toEqual(SOLD);
    expect(await app.get(RevenueService).of('mon')).toBeNull();
  });

  it('reads live', async () => {
    const live = ({ queryRunner }: EntityManager) => useLiveViews(app, queryRunner!);
    expect(await inTransaction(live, nothing)).toEqual(SOLD);
    expect(await app.get(RevenueService).of('mon')).toBeNull();
  });

  it('does a scheduled time when it is told to, and lets time pass', async () => {
    await database.client.query(sale);
    expect(await tick(app, DailyRevenue)).toMatchObject({ trigger: 'schedule' });
    await untilIdle(app);
    await expectFresh(app, DailyRevenue);
    expect(await app.get(RevenueService).of('mon')).toMatchObject({ revenue: '3' });
    await advance(app, '1h');
    const [{ ageMs = 0 } = {}] = await app.get(RevenueService).status();
    expect(ageMs).toBeGreaterThanOrEqual(3_600_000);
  });
});
