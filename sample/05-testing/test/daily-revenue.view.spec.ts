import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Test, type TestingModule } from '@nestjs/testing';
import { RefreshService } from 'nestjs-materialized-views';
import { expectFresh, untilIdle } from 'nestjs-materialized-views/testing';
import { DataSource, type QueryRunner } from 'typeorm';
import { AppModule } from '../app.module.js';
import { DailyRevenue } from '../daily-revenue.view.js';
import { Order } from '../order.entity.js';
import { provideTestDatabase } from './test-database.js';

let app: TestingModule;
let dropDatabase: () => Promise<void>;

beforeAll(async () => {
  dropDatabase = await provideTestDatabase();
  const testing = await Test.createTestingModule({ imports: [AppModule] }).compile();
  app = await testing.init();
});

afterAll(async () => {
  await app?.close();
  await dropDatabase?.();
});

describe('in a transaction that is rolled back', () => {
  let queryRunner: QueryRunner;

  beforeEach(async () => {
    queryRunner = app.get(DataSource).createQueryRunner();
    await queryRunner.startTransaction();
  });

  afterEach(async () => {
    await queryRunner.rollbackTransaction();
    await queryRunner.release();
  });

  it('adds up what was sold on a day', async () => {
    const { manager } = queryRunner;
    await manager.insert(Order, [
      { day: '2026-01-01', amount: 5 },
      { day: '2026-01-01', amount: 7 },
      { day: '2026-01-02', amount: 3 },
    ]);
    await app.get(RefreshService).refresh(DailyRevenue, { manager });
    expect(await manager.find(DailyRevenue, { order: { day: 'ASC' } })).toEqual([
      { day: '2026-01-01', revenue: 12 },
      { day: '2026-01-02', revenue: 3 },
    ]);
  });

  it('begins without the rows of the test before', async () => {
    expect(await queryRunner.manager.count(DailyRevenue)).toBe(0);
  });
});

it('follows what is committed', async () => {
  const { manager } = app.get(DataSource);
  await manager.insert(Order, { day: '2026-01-01', amount: 5 });
  await untilIdle(app);
  await expectFresh(app, DailyRevenue);
  expect(await manager.find(DailyRevenue)).toEqual([{ day: '2026-01-01', revenue: 5 }]);
});
