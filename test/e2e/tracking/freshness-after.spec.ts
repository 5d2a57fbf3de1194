import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import {
  InvalidOptionsError,
  RefreshCancelledError,
  RefreshGraphError,
  RefreshService,
  UnknownViewError,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const HOSTILE = `we"ird 'view`;
const DAILY = `${HOSTILE}.daily`;

const daily = viewClass({
  name: 'daily',
  schema: HOSTILE,
  expression: `SELECT (SELECT count(*)::int FROM public.orders) AS n,
                      (SELECT min(1 / amount) FROM public.orders) AS least
               WHERE public.gate()`,
  columns: ['n', 'least'],
});
const total = viewClass({
  name: 'total',
  expression: `SELECT sum(n)::int AS n FROM "we""ird 'view".daily`,
  columns: ['n'],
});

describe('RefreshService.after', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
    await database.query('CREATE TABLE orders (amount int)');
    app = await bootWith(database, { views: [daily, total] });
    refreshes = app.get(RefreshService);
    dataSource = app.get(DataSource);
  });

  beforeEach(async () => {
    await database.query('TRUNCATE orders');
    await refreshes.refreshAll();
    await database.query('DELETE FROM materialized_views.refresh_history');
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const insert = (amount: number): Promise<number> =>
    dataSource.transaction(async (manager) => {
      await manager.query('INSERT INTO orders VALUES ($1)', [amount]);
      return amount;
    });
  const shown = async (): Promise<unknown> => (await database.query('SELECT n FROM total'))[0]?.n;
  const runs = (): Promise<unknown[]> =>
    database.query('SELECT view_name FROM materialized_views.refresh_history');

  it('refreshes the views when the transaction is committed, and returns its result', async () => {
    const { value, report } = await refreshes.after(() => insert(5), [total, DAILY]);
    expect(value).toBe(5);
    expect(report.views.map(({ view, outcome }) => [view, outcome])).toEqual([
      [DAILY, 'refreshed'],
      ['public.total', 'refreshed'],
    ]);
    expect(await shown()).toBe(1);
  });

  it('refreshes nothing when it is rolled back', async () => {
    const failure = new Error('no such customer');
    const work = (): Promise<void> =>
      dataSource.transaction(async (manager) => {
        await manager.query('INSERT INTO orders VALUES (5)');
        throw failure;
      });
    await expect(refreshes.after(work, [daily])).rejects.toBe(failure);
    expect(await runs()).toEqual([]);
    expect(await database.query('SELECT FROM orders')).toEqual([]);
  });

  it('covers the writes of the transaction even if a refresh is running that does not', async () => {
    const gate = await database.closeGate();
    const earlier = refreshes.refresh(daily);
    await gate.untilReached();
    const both = refreshes.after(() => insert(5), [daily, total]);
    await database.until('SELECT FROM orders');
    await gate.open();
    await earlier;
    await both;
    expect(await shown()).toBe(1);
  });

  it('includes the views that read the named ones', async () => {
    await refreshes.after(() => insert(5), [daily], { cascade: 'dependents' });
    expect(await shown()).toBe(1);
  });

  it('says that a refresh failed, when the writes are committed', async () => {
    await expect(refreshes.after(() => insert(0), [daily, total])).rejects.toBeInstanceOf(
      RefreshGraphError,
    );
    expect(await database.query('SELECT FROM orders')).toHaveLength(1);
    const { value, report } = await refreshes.after(() => insert(5), [daily], {
      throwOnFailure: false,
    });
    expect([value, report.counts.failed]).toEqual([5, 1]);
  });

  it.each([
    ['a view that is unknown', [['nowhere.none']], UnknownViewError],
    ['an option that is unknown', [[daily], { concurency: 1 }], InvalidOptionsError],
    ['a view that is not in a list', [daily], InvalidOptionsError],
    ['a manager', [[daily], { manager: {} }], InvalidOptionsError],
    ['a signal that is aborted', [[daily], { signal: AbortSignal.abort() }], RefreshCancelledError],
    [
      'no rows, beside readers',
      [[daily], { withData: false, mode: 'concurrently' }],
      InvalidOptionsError,
    ],
    ['a swap, beside readers', [[daily], { mode: 'fast' }], InvalidOptionsError],
  ])('refuses %s before anything is written', async (_, args, error) => {
    const call = refreshes.after as unknown as (...all: unknown[]) => Promise<unknown>;
    await expect(call.call(refreshes, () => insert(5), ...args)).rejects.toBeInstanceOf(error);
    expect(await database.query('SELECT FROM orders')).toEqual([]);
  });

  it('refuses a promise instead of the work', async () => {
    const call = refreshes.after as unknown as (...all: unknown[]) => Promise<unknown>;
    await expect(call.call(refreshes, Promise.resolve(), [daily])).rejects.toThrow(
      'RefreshService.after: expected `work` to be a function',
    );
  });
});
