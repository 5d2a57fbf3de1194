import 'reflect-metadata';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { MaterializedViewsDashboardModule } from '../../lib/dashboard/index.js';
import { RefreshService } from '../../lib/index.js';
import { withDatabase } from '../bench/bench-database.js';
import { startBrowser } from '../support/browser.js';
import { listen } from '../support/http-app.js';
import type { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';

/** The folder of the documentation's pictures. */
const TARGET = path.resolve(import.meta.dirname, '../../docs/public');

const schema = 'analytics';
const VIEWS = [
  viewClass({
    schema,
    name: 'daily_revenue',
    expression: `SELECT day, sum(amount) AS revenue FROM public.orders GROUP BY day`,
    columns: ['day', 'revenue'],
    key: ['day'],
    refresh: { cron: '*/10 * * * *' },
  }),
  viewClass({
    schema,
    name: 'monthly_revenue',
    expression: `SELECT date_trunc('month', day) AS month, sum(revenue) AS revenue FROM analytics.daily_revenue GROUP BY 1`,
    columns: ['month', 'revenue'],
    key: ['month'],
    refresh: { cron: '5 * * * *', timeZone: 'Europe/Berlin' },
  }),
  viewClass({
    schema,
    name: 'stock_levels',
    expression: `SELECT product_id, sum(count) AS count FROM public.stock_moves GROUP BY product_id`,
    columns: ['product_id', 'count'],
    key: ['product_id'],
    refresh: { on: 'sources', maxStaleness: '5m' },
  }),
  viewClass({
    schema,
    name: 'margin_by_customer',
    expression: `SELECT customer_id, sum(amount) / sum(cost) AS margin FROM public.orders GROUP BY customer_id`,
    columns: ['customer_id', 'margin'],
    refresh: { cron: '0 3 * * *' },
  }),
  viewClass({
    schema,
    name: 'top_customers',
    expression: `SELECT customer_id, sum(amount) AS revenue FROM public.orders GROUP BY customer_id ORDER BY 2 DESC LIMIT 100`,
    columns: ['customer_id', 'revenue'],
    key: ['customer_id'],
    refresh: { cron: '0 * * * *' },
  }),
];

const TABLES = `
  CREATE TABLE orders (id int, customer_id int, day date, amount numeric, cost numeric);
  CREATE TABLE stock_moves (product_id int, count int);
  INSERT INTO orders
    SELECT id, id % 500, date '2026-01-01' + id % 300, id % 97, 1 + id % 7 FROM generate_series(1, 200000) AS id;
  INSERT INTO stock_moves SELECT id % 1000, id % 13 - 6 FROM generate_series(1, 100000) AS id;`;

/** Adds runs of the last hours, so that the pages aren't empty. */
const HISTORY = `
  INSERT INTO materialized_views.refresh_history
    (run_id, schema_name, view_name, trigger, tick, outcome, mode, mode_reason, started_at, finished_at, host)
  SELECT gen_random_uuid(), schema_name, view_name, 'schedule', at, outcome,
         CASE outcome WHEN 'refreshed' THEN 'concurrently' END, NULL, at,
         at + interval '1 ms' * (140 + 60 * sin(run + length(view_name)) + (run * 37 + length(view_name)) % 90), 'web-' || run % 3 || ':1'
  FROM materialized_views.view_state, generate_series(1, 29) AS run,
  LATERAL (
    SELECT date_trunc('hour', now()) - run * interval '10 minutes' AS at,
           CASE WHEN (run * 7 + length(view_name)) % 23 = 0 THEN 'failed' ELSE 'refreshed' END AS outcome
  ) AS made`;

async function prepare(database: TestDatabase, refreshes: RefreshService): Promise<void> {
  await database.query(HISTORY);
  await refreshes.refreshAll();
  await database.query(`UPDATE orders SET cost = 0 WHERE customer_id = 7`);
  await refreshes.refresh('analytics.margin_by_customer').catch(() => undefined);
  await refreshes.pause('analytics.top_customers');
  await database.query(`ANALYZE`);
}

async function shoot(browser: Browser, root: string): Promise<void> {
  const pages = {
    views: '',
    view: 'view?source=default&view=analytics.daily_revenue',
    graph: 'graph',
  };
  for (const colorScheme of ['light', 'dark'] as const) {
    const viewport = { width: 1200, height: 640 };
    const page = await browser.newPage({ colorScheme, viewport });
    for (const [name, address] of Object.entries(pages)) {
      await page.goto(`${root}${address}`);
      const file = path.join(TARGET, `dashboard-${name}-${colorScheme}.png`);
      await page.screenshot({ path: file });
      console.log(path.relative(process.cwd(), file));
    }
  }
}

await withDatabase(async (database) => {
  await database.query(TABLES);
  const dashboard = MaterializedViewsDashboardModule.forRoot({
    allowUnauthenticated: true,
    environment: 'production',
  });
  const { app, url } = await listen({
    platform: 'express',
    database,
    options: { views: VIEWS },
    metadata: { imports: [dashboard] },
  });
  const browser = await startBrowser();
  try {
    await prepare(database, app.get(RefreshService));
    await mkdir(TARGET, { recursive: true });
    await shoot(browser, `${url}/materialized-views/`);
  } finally {
    await browser.close();
    await app.close();
  }
});
