import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { MaterializedViewError, ReadOnlyViewError } from 'nestjs-materialized-views';
import { AppModule } from '../src/app.module';
import { RevenueService } from '../src/revenue.service';
import { TestDatabase } from './test-database';

describe('an application on Nest 11, in CommonJS', () => {
  let database: TestDatabase;
  let app: INestApplicationContext;
  let revenue: RevenueService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.client.query(`CREATE TABLE orders (day text, amount numeric)`);
    await database.client.query(`INSERT INTO orders VALUES ('mon', 1), ('mon', 2)`);
    app = await NestFactory.createApplicationContext(AppModule.forDatabase(database.url), {
      abortOnError: false,
      logger: ['fatal'],
    });
    revenue = app.get(RevenueService);
  });

  afterAll(async () => {
    await app?.close();
    await database?.drop();
  });

  it('finds the view created and filled', async () => {
    expect(await revenue.of('mon')).toMatchObject({ day: 'mon', revenue: '3' });
  });

  it('refreshes it concurrently', async () => {
    await database.client.query(`INSERT INTO orders VALUES ('tue', 5)`);
    expect(await revenue.refresh()).toMatchObject({
      view: 'public.daily Revenue',
      outcome: 'refreshed',
      mode: 'concurrently',
    });
    expect(await revenue.of('tue')).toMatchObject({ day: 'tue', revenue: '5' });
  });

  it('refreshes all views, and tells how they stand', async () => {
    const { counts } = await revenue.refreshAll();
    expect(counts).toMatchObject({ refreshed: 1, failed: 0 });
    expect(await revenue.status()).toMatchObject([
      { view: 'public.daily Revenue', isPopulated: true, isStale: false, failureCount: 0 },
    ]);
  });

  it('refuses to write to it', async () => {
    const row = await revenue.of('mon');
    const refusal: unknown = await revenue.change(row!).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ReadOnlyViewError);
    expect(refusal).toBeInstanceOf(MaterializedViewError);
  });

  it('has a job for its schedule', () => {
    const job = app.get(SchedulerRegistry).getCronJob('materialized-view:public.daily Revenue');
    expect(job.isActive).toBe(true);
  });
});
