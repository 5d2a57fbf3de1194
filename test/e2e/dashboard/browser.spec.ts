import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import axe from 'axe-core';
import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { MaterializedViewsDashboardModule } from '../../../lib/dashboard/index.js';
import { RefreshService } from '../../../lib/index.js';
import { startBrowser } from '../../support/browser.js';
import { type HttpApp, listen } from '../../support/http-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass, YEARLY } from '../../support/view-class.js';

const PREFIX = '/admin/reports';
const HOSTILE = `"><img src=x onerror=hacked=1><script>hacked=1</script>`;

const Total = viewClass({
  name: 'total',
  expression: `SELECT sum(amount) AS id FROM public.orders WHERE public.gate()`,
  key: ['id'],
  refresh: { cron: YEARLY },
});
const Above = viewClass({ name: 'above', expression: `SELECT id FROM public.total` });
const Hostile = viewClass({
  schema: 'Odd "schema"',
  name: HOSTILE,
  expression: `SELECT 1 / amount AS id FROM public.orders`,
  withData: false,
  comment: HOSTILE,
});

const viewPath = (view: string): string =>
  `view?${new URLSearchParams({ source: 'default', view }).toString()}`;

/** A proxy that serves an application under a prefix that the application does not know. */
function proxyTo(target: string): Promise<Server> {
  const { hostname, port } = new URL(target);
  const server = createServer((asked, answer) => {
    const path = asked.url?.replace(PREFIX, '');
    const { method, headers } = asked;
    const passedOn = request({ hostname, port, path, method, headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    asked.pipe(passedOn);
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

describe('the dashboard in a browser', () => {
  let database: TestDatabase;
  let http: HttpApp;
  let refreshes: RefreshService;
  let proxy: Server;
  let browser: Browser;
  let context: BrowserContext;
  let complaints: string[];
  let root: string;

  const open = async (path: string, options: BrowserContextOptions = {}): Promise<Page> => {
    context = await browser.newContext(options);
    const page = await context.newPage();
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('dialog', (dialog) => complaints.push(dialog.message()));
    await page.goto(`${root}${path}`);
    return page;
  };

  beforeAll(async () => {
    browser = await startBrowser();
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (amount int)`);
    await database.query(`INSERT INTO orders VALUES (0)`);
    await database.createGate();
    http = await listen({
      platform: 'express',
      database,
      options: { views: [Total, Above, Hostile] },
      metadata: {
        imports: [
          MaterializedViewsDashboardModule.forRoot({
            allowUnauthenticated: true,
            environment: HOSTILE,
          }),
        ],
      },
    });
    refreshes = http.app.get(RefreshService);
    proxy = await proxyTo(http.url);
    root = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}${PREFIX}/materialized-views/`;
  });

  beforeEach(async () => {
    complaints = [];
    await refreshes.refresh(Hostile).catch(() => undefined);
  });

  afterEach(async () => {
    await context.close();
    expect(complaints).toEqual([]);
  });

  afterAll(async () => {
    await browser.close();
    proxy.close();
    await http.app.close();
    await database.drop();
  });

  const PAGES = [
    '',
    viewPath('public.total'),
    viewPath(`Odd "schema".${HOSTILE}`),
    'graph',
    'runs',
    `confirm?action=refresh&${viewPath('public.total').slice('view?'.length)}`,
  ];

  it.each(['light', 'dark'] as const)(
    'is accessible when it is %s',
    async (colorScheme) => {
      const page = await open('', { colorScheme });
      for (const path of PAGES) {
        for (const width of colorScheme === 'light' ? [1280, 360] : [360]) {
          await page.setViewportSize({ width, height: 800 });
          await page.goto(`${root}${path}`);
          await page.evaluate(axe.source);
          const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
          const found = violations.map(({ id, nodes }) => [
            path,
            width,
            id,
            nodes.map(({ html }) => html),
          ]);
          expect(found).toEqual([]);
          const needed = await page.evaluate('document.documentElement.scrollWidth');
          expect({ path, needed }).toEqual({ path, needed: width });
        }
      }
      const background = await page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect(background === 'rgb(18, 21, 28)').toBe(colorScheme === 'dark');
    },
    180_000,
  );

  it('shows hostile names and errors, and runs none of it', async () => {
    const page = await open('');
    for (const path of PAGES) {
      await page.goto(`${root}${path}`);
      expect(
        await page.evaluate('[document.images.length, typeof hacked, document.scripts.length]'),
      ).toEqual([0, 'undefined', 1]);
      expect(await page.locator('.environment').textContent()).toBe(HOSTILE);
    }
  });

  it('is used with the keyboard alone', async () => {
    const page = await open('');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to the content');
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Refresh public.total' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Refresh it and what reads it' }).focus();
    await page.keyboard.press('Enter');
    await page.getByRole('status').waitFor();
    expect(await page.getByRole('status').textContent()).toBe('The refresh is done.');
    expect((await refreshes.history(Above))[0]).toMatchObject({ trigger: 'demand' });
  });

  it('does everything without scripts', async () => {
    const page = await open('', { javaScriptEnabled: false });
    await page.getByRole('combobox', { name: 'State' }).selectOption('failing');
    await page.getByRole('button', { name: 'Filter' }).click();
    expect(await page.locator('tbody tr').count()).toBe(1);
    await page.getByRole('link', { name: 'Views', exact: true }).click();
    for (const [action, notice] of [
      ['Pause', 'The view is paused'],
      ['Resume', 'refreshes start again'],
    ] as const) {
      await page.getByRole('link', { name: `${action} public.total` }).click();
      await page.getByRole('button', { name: action }).click();
      expect(await page.getByRole('status').textContent()).toContain(notice);
      await page.getByRole('link', { name: 'Materialized views' }).click();
    }
    await page.getByRole('link', { name: 'Graph' }).click();
    await page.getByRole('link', { name: /public.above/ }).click();
    expect(await page.locator('h1').textContent()).toBe('public.above');
  });

  it('updates itself while it is visible, and keeps the focus', async () => {
    const page = await open('');
    await page.clock.install();
    await page.reload();
    const link = page.getByRole('link', { name: 'Pause public.total' });
    await link.focus();
    await refreshes.pause(Total);
    await page.clock.runFor(6_000);
    await page.getByRole('link', { name: 'Resume public.total' }).waitFor();
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Resume');
    await refreshes.resume(Total);

    let asked = 0;
    page.on('request', () => (asked += 1));
    await page.evaluate(
      `Object.defineProperty(document, 'hidden', { value: true, configurable: true }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
    await page.clock.runFor(120_000);
    expect(asked).toBe(0);
    await page.evaluate(
      `Object.defineProperty(document, 'hidden', { value: false }); document.dispatchEvent(new Event('visibilitychange'))`,
    );
    await page.getByRole('link', { name: 'Pause public.total' }).waitFor();

    await page.route('**/*', (route) => route.abort());
    await page.clock.runFor(6_000);
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('link', { name: 'Pause public.total' }).count()).toBe(1);
    await page.unroute('**/*');
    await page.clock.runFor(6_000);
    await page.getByRole('alert').waitFor({ state: 'hidden' });
    complaints = complaints.filter((text) => !text.includes('ERR_FAILED'));

    await page.getByRole('combobox', { name: 'Reload' }).selectOption('never');
    asked = 0;
    await page.clock.runFor(120_000);
    expect(asked).toBe(0);
  });

  it('shows a refresh that is running, and cancels it', async () => {
    await refreshes.refresh(Total);
    const gate = await database.closeGate();
    const refreshed = refreshes.refresh(Total).catch((error: Error) => error.name);
    await gate.untilReached();
    const page = await open(viewPath('public.total'));
    await page.locator('.badge.refreshing').waitFor();
    expect(await page.locator('progress').count()).toBe(1);
    await page.getByRole('link', { name: 'Cancel public.total' }).click();
    await page.getByRole('button', { name: 'Cancel the refresh' }).click();
    expect(await page.getByRole('status').textContent()).toBe('The refresh was cancelled.');
    expect(await refreshed).toBe('RefreshCancelledError');
    await gate.open();
  });

  it('turns the pages of the runs', async () => {
    await database.query(`INSERT INTO materialized_views.refresh_history
        (run_id, schema_name, view_name, trigger, outcome, mode, started_at, finished_at, host)
      SELECT gen_random_uuid(), 'public', 'above', 'schedule', 'refreshed', 'blocking', at, at, 'test:1'
      FROM generate_series(1, 50) AS run, LATERAL (SELECT now() - run * interval '1 hour' AS at) AS made`);
    const page = await open('runs?view=public.above');
    expect(await page.locator('tbody tr').count()).toBe(50);
    await page.getByRole('link', { name: 'Older' }).click();
    const rest = await page.locator('tbody tr').count();
    expect(rest).toBe((await refreshes.history(Above, { limit: 1_000 })).length - 50);
    await page.getByRole('combobox', { name: 'Outcome' }).selectOption('failed');
    await page.getByRole('combobox', { name: 'View' }).selectOption('');
    await page.getByRole('button', { name: 'Filter' }).click();
    expect(await page.locator('tbody td[data-label=Error]').first().textContent()).toContain(
      '22012',
    );
  });
});
