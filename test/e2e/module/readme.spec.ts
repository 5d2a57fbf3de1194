import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import * as library from '../../../lib/index.js';
import { TestDatabase } from '../../support/test-database.js';

const run = promisify(execFile);

/** The README and the pages of docs/, except those that are generated. */
function pages(): { page: string; text: string }[] {
  const docs = readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith(path.join('reference', 'api')))
    .map((name) => path.join('docs', name));
  return ['README.md', ...docs].map((page) => ({ page, text: readFileSync(page, 'utf8') }));
}

/** Their TypeScript blocks. The first line may name the file. Code that cannot run has another language. */
function snippets(): { page: string; name: string; text: string }[] {
  return pages().flatMap(({ page, text }) =>
    [...text.matchAll(/```ts\n(?:\/\/ (\S+\.ts)\n)?(.*?)```/gs)].map(
      ([, name = '', code = '']) => ({ page, name, text: code }),
    ),
  );
}

/** The exported error classes, except their common base. */
function errorClasses(): { name: string; code: string }[] {
  return Object.entries(library).flatMap(([name, exported]) => {
    const isError =
      typeof exported === 'function' && exported.prototype instanceof library.MaterializedViewError;
    // Most constructors take a message, one takes a report.
    return isError ? [{ name, code: codeOf(exported as never) }] : [];
  });
}

function codeOf(type: new (about: unknown) => library.MaterializedViewError): string {
  return new type({ views: [], counts: {} }).code;
}

/** What a reader would do with the snippets: boot the application and call it. */
const CHECK = `
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { MaterializedViewsModule, RefreshService } from 'nestjs-materialized-views';
import { DataSource } from 'typeorm';
import { AppModule } from './app.module.js';
import { CheckoutService } from './checkout.service.js';
import './customer-revenue.view.js';
import { LargestOrder, NightlyOrders, OpenOrders } from './fresh.views.js';
import { MaintenanceService } from './maintenance.service.js';
import { OnDemandService } from './on-demand.service.js';
import { OrderService } from './order.service.js';
import { LargestDay, OrderTotal } from './recent.views.js';
import { TenantRevenue } from './tenant-revenue.view.js';
import { TenantRevenueService } from './tenant-revenue.service.js';
import { TenantService } from './tenant.service.js';
import './refresh-alerts.js';
import { durations } from './refresh-tracing.js';
import { ReportController } from './report.controller.js';
import { StatusController } from './status.controller.js';

const app = await NestFactory.create(AppModule, { logger: false });
await app.listen(0, '127.0.0.1');
const url = await app.getUrl();
const refreshed = await fetch(url + '/revenue/refresh', { method: 'POST' });
const listed = await fetch(url + '/revenue');
const refreshes = app.get(RefreshService);
const views = new StatusController(refreshes);
const statuses = [await views.all(), await views.history(), await views.drift()];
const report = new ReportController(refreshes);
const outcomes = [await report.upToDate(), await report.now()];
const traced = durations.some(({ isFailed }) => !isFailed);
await new OrderService(app.get(DataSource), refreshes).add('2026-01-02', 3);
await new CheckoutService(app.get(DataSource), refreshes).pay('2026-01-02', 4);
const added = await (await fetch(url + '/revenue')).json();
const maintenance = new MaintenanceService(refreshes);
const paused: unknown[] = [];
await maintenance.during(async () => void paused.push((await views.all())[0]?.isPaused));
const demand = new OnDemandService(refreshes);
await demand.everything();
const ofDemand = [await demand.upToDate()];
const whole = [outcomes, traced, added, paused, await maintenance.busyViews(), ofDemand];
console.log(JSON.stringify([await refreshed.json(), await listed.json(), ...statuses, whole]));
await app.close();

const fresh = [LargestOrder, NightlyOrders, OpenOrders, LargestDay, OrderTotal];
class FreshModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, entities: fresh }),
    MaterializedViewsModule.forRoot({ views: fresh, scheduling: false }),
  ],
})(FreshModule);
await (await NestFactory.createApplicationContext(FreshModule, { logger: false })).close();

class TenantsModule {}
Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      entities: [TenantRevenue],
    }),
    MaterializedViewsModule.forRoot({ views: [TenantRevenue], scheduling: false }),
  ],
  providers: [TenantService, TenantRevenueService],
})(TenantsModule);
const tenants = await NestFactory.createApplicationContext(TenantsModule, { logger: false });
await tenants.get(TenantService).add('globex');
const revenue = tenants.get(TenantRevenueService);
await revenue.refresh('globex');
console.log(JSON.stringify(await revenue.list('globex')));
await tenants.close();
`;

describe('README and docs', () => {
  let database: TestDatabase;
  let directory: string;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (day date, amount numeric)`);
    await database.query(`INSERT INTO orders VALUES ('2026-01-01', 5), ('2026-01-01', 7)`);
    await database.query(`CREATE TABLE tenants (schema text PRIMARY KEY)`);
    await database.query(`CREATE SCHEMA globex CREATE TABLE orders (day date, amount numeric)`);
    await database.query(`INSERT INTO globex.orders VALUES ('2026-01-01', 3)`);
    directory = mkdtempSync(path.resolve('test/readme-'));
    const named = snippets().filter(({ name }) => name !== '');
    for (const { name, text } of [...named, { name: 'check.ts', text: CHECK }]) {
      mkdirSync(path.dirname(path.join(directory, name)), { recursive: true });
      writeFileSync(path.join(directory, name), text);
    }
    const compilerOptions = { types: ['node', 'jest'] };
    const config = { extends: '../../tsconfig.json', compilerOptions, include: ['.'] };
    writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify(config));
  });

  afterAll(async () => {
    rmSync(directory, { recursive: true });
    await database.drop();
  });

  it('have a file name on every block of TypeScript, and one text for each name', () => {
    expect(snippets().filter(({ name }) => name === '')).toEqual([]);
    const texts = new Map<string, string>();
    for (const { name, text } of snippets()) {
      expect({ name, text: texts.get(name) ?? text }).toEqual({ name, text });
      texts.set(name, text);
    }
    expect(texts.size).toBeGreaterThanOrEqual(20);
  });

  it('show code that compiles', async () => {
    const { stdout } = await run(process.execPath, [
      'node_modules/typescript/bin/tsc',
      '-p',
      directory,
    ]).catch((error: { stdout: string }) => error);
    expect(stdout).toBe('');
  });

  it('show an application that runs', async () => {
    const { stdout } = await run(
      process.execPath,
      ['--import', '@swc-node/register/esm-register', path.join(directory, 'check.ts')],
      { env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: database.url } },
    );
    const [ofApp = '', ofTenants = ''] = stdout.trim().split('\n');
    const [refreshed, listed, statuses, history, drift, whole] = JSON.parse(ofApp) as unknown[];
    expect(JSON.parse(ofTenants)).toEqual([{ day: '2026-01-01', revenue: '3' }]);
    expect(refreshed).toMatchObject({
      view: 'analytics.daily_revenue',
      outcome: 'refreshed',
      mode: 'concurrently',
    });
    expect(listed).toEqual([{ day: '2026-01-01', revenue: '12' }]);
    expect(statuses).toMatchObject([{ view: 'analytics.daily_revenue', isStale: false }]);
    expect(history).toContainEqual(expect.objectContaining({ trigger: 'demand' }));
    expect(drift).toMatchObject({ isDrifted: false });
    expect(whole).toEqual([
      ['refreshed', 'refreshed'],
      true,
      [
        { day: '2026-01-02', revenue: '7' },
        { day: '2026-01-01', revenue: '12' },
      ],
      [true],
      [],
      ['refreshed'],
    ]);
  });

  it('have a row with its code for each class of error', () => {
    const page = readFileSync('docs/reference/errors.md', 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+Error)` +\| `(MV_\w+)` +\|/gm)].map(
      ([, name, code]) => ({ name, code }),
    );
    expect(rows).toHaveLength(errorClasses().length);
    expect(rows).toEqual(expect.arrayContaining(errorClasses()));
  });
});
