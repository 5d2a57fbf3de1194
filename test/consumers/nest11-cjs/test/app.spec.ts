import type { CanActivate, ExecutionContext, INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { MaterializedViewError, ReadOnlyViewError } from 'nestjs-materialized-views';
import { MaterializedViewsDashboardModule } from 'nestjs-materialized-views/dashboard';
import {
  MaterializedViewsHealthIndicator,
  MaterializedViewsHealthModule,
} from 'nestjs-materialized-views/health';
import { AppModule } from '../src/app.module';
import { RevenueService } from '../src/revenue.service';
import { TestDatabase } from './test-database';

class KeyGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string> }>();
    return headers['x-key'] === 'right';
  }
}

class WebModule {}

describe('an application on Nest 11, in CommonJS', () => {
  let database: TestDatabase;
  let app: INestApplication;
  let revenue: RevenueService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.client.query(`CREATE TABLE orders (day text, amount numeric)`);
    await database.client.query(`INSERT INTO orders VALUES ('mon', 1), ('mon', 2)`);
    const imports = [
      AppModule.forDatabase(database.url),
      MaterializedViewsDashboardModule.forRoot({ guards: [KeyGuard] }),
      TerminusModule,
      MaterializedViewsHealthModule,
    ];
    app = await NestFactory.create(
      { module: WebModule, imports },
      { abortOnError: false, logger: ['fatal'] },
    );
    await app.listen(0, '127.0.0.1');
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

  it('refreshes all views, and shows their status', async () => {
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

  it('is up in a health check of Terminus, and down when it is too old', async () => {
    const health = app.get(HealthCheckService, { strict: false });
    const indicator = app.get(MaterializedViewsHealthIndicator, { strict: false });
    const check = (errorAfter: number): Promise<unknown> =>
      health.check([() => indicator.isFresh('views', { errorAfter })]);
    expect(await check(600_000)).toMatchObject({
      status: 'ok',
      details: { views: { status: 'up' } },
    });
    await expect(check(1)).rejects.toMatchObject({
      status: 503,
      response: { status: 'error', error: { views: { status: 'down' } } },
    });
  });

  it('shows it in the dashboard, if the guard allows', async () => {
    const url = `${await app.getUrl()}/materialized-views/`;
    expect((await fetch(url)).status).toBe(403);
    const response = await fetch(url, { headers: { 'X-Key': 'right' } });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('public.daily');
    const graph = await fetch(`${url}graph`, { headers: { 'X-Key': 'right' } });
    expect(await graph.text()).toContain('public.orders');
  });
});
