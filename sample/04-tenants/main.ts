import 'reflect-metadata';
import assert from 'node:assert/strict';
import { NestFactory } from '@nestjs/core';
import { RefreshService, UnknownViewError } from 'nestjs-materialized-views';
import { Client } from 'pg';
import { Cleanup } from '../support/cleanup.js';
import { provideDatabase } from '../support/database.js';
import { DemoLogger } from '../support/demo.logger.js';
import { reported } from '../support/reported.js';
import { AppModule } from './app.module.js';
import { DailyRevenue } from './daily-revenue.view.js';
import { TenantService } from './tenant.service.js';

async function main(cleanup: Cleanup): Promise<void> {
  const { url } = await reported(
    () => provideDatabase(cleanup),
    ({ label }) => label,
  );
  await createTenantTable(url);
  const app = await reported(
    () =>
      NestFactory.createApplicationContext(AppModule, {
        logger: new DemoLogger({ logLevels: ['log', 'warn', 'error'] }),
      }),
    () => 'Started an application without a tenant',
  );
  cleanup.add(() => app.close());
  const tenants = app.get(TenantService);
  const refreshes = app.get(RefreshService);
  const revenueOf = async (schema: string): Promise<string[]> =>
    (await tenants.revenueOf(schema)).map(({ day, revenue }) => `${day}: ${revenue}`);

  for (const schema of ['tenant_a', 'tenant_b']) {
    await reported(
      () => tenants.create(schema),
      () => `Added ${schema} while the application runs`,
    );
  }
  await tenants.order('tenant_a', '2026-01-01', 5);
  await tenants.order('tenant_b', '2026-01-01', 7);

  await reported(
    () => refreshes.refresh(DailyRevenue, { schema: 'tenant_a' }),
    ({ view }) => `Refreshed ${view}, and no other view`,
  );
  assert.deepEqual(await revenueOf('tenant_a'), ['2026-01-01: 5']);
  assert.deepEqual(await revenueOf('tenant_b'), []);

  await assert.rejects(refreshes.refresh(DailyRevenue), UnknownViewError);
  await refreshes.refreshAll();
  assert.deepEqual(await revenueOf('tenant_b'), ['2026-01-01: 7']);

  for (const { view, nextTick } of await refreshes.statusAll()) {
    console.log(`         ${view} is refreshed at ${nextTick?.toISOString()}`);
  }
  console.log('\nAll was as expected.');
  await cleanup.run();
}

async function createTenantTable(url: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`
    DROP SCHEMA IF EXISTS tenant_a, tenant_b CASCADE;
    DROP TABLE IF EXISTS public.tenants;
    CREATE TABLE public.tenants (schema text PRIMARY KEY)`);
  await client.end();
}

Cleanup.around(main);
