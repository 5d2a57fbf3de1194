import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import { Index, type Repository, ViewColumn } from 'typeorm';
import { MaterializedViewEntity, RefreshService } from '../../lib/index.js';
import { bootWith } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';

@MaterializedViewEntity({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day, sum(amount) AS revenue FROM orders GROUP BY day`,
})
@Index(['day'], { unique: true })
class DailyRevenue {
  @ViewColumn() day!: string;
  @ViewColumn() revenue!: string;
}

describe('refresh', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let revenue: Repository<DailyRevenue>;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, day text, amount numeric)`);
    await database.query(
      `INSERT INTO orders (day, amount) VALUES ('mon', 1), ('mon', 2), ('tue', 5)`,
    );
    app = await bootWith(database, { views: [DailyRevenue] });
    refreshes = app.get(RefreshService);
    revenue = app.get(getRepositoryToken(DailyRevenue));
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('stores new rows, concurrently', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 7)`);
    expect(await revenue.findOneBy({ day: 'wed' })).toBeNull();
    const result = await refreshes.refresh(DailyRevenue);
    expect(result).toMatchObject({
      view: 'Analytics eu.daily "Revenue"',
      outcome: 'refreshed',
      mode: 'concurrently',
      modeReason: 'unique_index',
    });
    expect(await revenue.findOneBy({ day: 'wed' })).toEqual({ day: 'wed', revenue: '7' });
  });
});
