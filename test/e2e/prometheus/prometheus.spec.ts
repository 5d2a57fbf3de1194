import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { readFileSync } from 'node:fs';
import { Registry } from 'prom-client';
import { RefreshService } from '../../../lib/index.js';
import { type RegisteredMetrics, registerMetrics } from '../../../lib/prometheus/index.js';
import { managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const Total = viewClass({
  name: 'total "of" orders',
  expression: `SELECT sum(amount) AS id FROM public.orders`,
  refresh: { cron: YEARLY, maxStaleness: '1h' },
});
const Ratio = viewClass({
  name: 'ratio',
  expression: `SELECT 1 / amount AS id FROM public.orders`,
  withData: false,
});

/** The library's metrics, without the functions and keywords of PromQL around them. */
const OWN_METRIC = /materialized_view[a-z_]*/g;

describe('metrics for prom-client', () => {
  const registry = new Registry();
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let registered: RegisteredMetrics;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (amount int)`);
    await database.query(`INSERT INTO orders VALUES (0), (1)`);
    app = await bootWith(database, { views: [Total, Ratio] });
    refreshes = app.get(RefreshService);
    registered = registerMetrics(refreshes, { registry });
    await refreshes.refresh(Total);
    await refreshes.refresh(Ratio).catch(() => undefined);
    await refreshes.pause(Total);
    await refreshes.refresh(Total, { onPaused: 'skip' });
    await database.query('ANALYZE');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('count what this process did', async () => {
    const text = await registry.metrics();
    const total = 'data_source="default",schema="public",view="total \\"of\\" orders"';
    const ratio = 'data_source="default",schema="public",view="ratio"';
    expect(text).toMatch(
      `materialized_view_refresh_duration_seconds_count{${total},mode="blocking",trigger="demand",outcome="success",error_type=""} 1`,
    );
    expect(text).toMatch(
      /view="ratio",mode="",trigger="demand",outcome="failure",error_type="22012"} 1/,
    );
    expect(text).toMatch(`materialized_view_refresh_skips_total{${total},reason="paused"} 1`);
    expect(text).toMatch(`materialized_view_refresh_wait_time_seconds_count{${total}} 1`);
    expect(text).toMatch(`materialized_view_refresh_active{${ratio}} 0`);
  });

  it('show the status of each view', async () => {
    const text = await registry.metrics();
    expect(text).toMatch(/materialized_view_status{[^}]*orders",status="paused"} 1/);
    expect(text).toMatch(/materialized_view_status{[^}]*ratio",status="unpopulated"} 1/);
    expect(text).toMatch(/materialized_view_consecutive_failures{[^}]*ratio"} 1/);
    expect(text).toMatch(/materialized_view_max_staleness_seconds{[^}]*orders"} 3600/);
    expect(text).toMatch(/materialized_view_row_count{[^}]*orders"} 1/);
    expect(text).toMatch('materialized_view_readable{data_source="default"} 1');
  });

  it('are read once, however many collect them', async () => {
    await registry.metrics();
    managed(app).sharedStatus['reading']['last'] = undefined;
    const reading = jest.spyOn(managed(app).inspector, 'statusAll');
    await Promise.all(Array.from({ length: 10 }, () => registry.metrics()));
    await registry.metrics();
    expect(reading).toHaveBeenCalledTimes(1);
    reading.mockRestore();
  });

  it.each(['monitoring/alerts.yml', 'monitoring/grafana.json'])(
    'are all those that %s names',
    async (file) => {
      const scraped = new Set(
        [...(await registry.metrics()).matchAll(/^(materialized_view\w*)\{/gm)].map(
          ([, name]) => name,
        ),
      );
      const expressions = [...readFileSync(file, 'utf8').matchAll(/^.*materialized_view_.*$/gm)];
      const named = expressions.flatMap(([line]) => line.match(OWN_METRIC) ?? []);
      expect(named.length).toBeGreaterThan(5);
      expect(named.filter((name) => !scraped.has(name))).toEqual([]);
    },
  );

  it('leave out a data source that cannot be read, and report that', async () => {
    managed(app).sharedStatus['reading']['last'] = undefined;
    const reading = jest.spyOn(managed(app).inspector, 'statusAll');
    reading.mockRejectedValue(new Error('no answer'));
    const text = await registry.metrics();
    reading.mockRestore();
    expect(text).toMatch('materialized_view_readable{data_source="default"} 0');
    expect(text).not.toMatch(/materialized_view_age_seconds{/);
  });

  it('have a prefix, and are gone after stop', async () => {
    const other = registerMetrics(refreshes, { registry, prefix: 'shop_' });
    expect(await registry.metrics()).toMatch(/^shop_materialized_view_age_seconds{/m);
    other.stop();
    expect(await registry.metrics()).not.toMatch('shop_');
    registered.stop();
    expect(await registry.metrics()).toBe('\n');
    registered = registerMetrics(refreshes, { registry });
  });
});
