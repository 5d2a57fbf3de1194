import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { InvalidOptionsError, RefreshService, UnknownViewError } from '../../../lib/index.js';
import { followIndex } from '../../../lib/postgres/change-log.sql.js';
import { selectMeanDurations } from '../../../lib/postgres/graph.sql.js';
import {
  pruneHistory,
  selectPrunable,
  selectViewsWithHistory,
} from '../../../lib/postgres/history-pruning.sql.js';
import {
  selectHistory,
  selectHistoryOfAll,
  selectRecentRuns,
} from '../../../lib/postgres/history-reading.sql.js';
import { HistoryPruner } from '../../../lib/refresh/history-pruner.js';
import { selectViewStatuses } from '../../../lib/postgres/status.sql.js';
import { managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const STATE = 'materialized_views';
const NO_FILTER = { outcomes: null, since: null, until: null, olderThan: null };

const DailyRevenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day, 100 / sum(amount) AS share FROM public.orders GROUP BY day`,
  columns: ['day', 'share'],
  key: ['day'],
});

const OrderTotal = viewClass({
  name: 'order_total',
  expression: `SELECT sum(amount) AS total FROM public.orders`,
  columns: ['total'],
});

let database: TestDatabase;
let app: TestingModule;
let refreshes: RefreshService;

const restart = async (history?: { maxAge?: `${number}d`; maxCount?: number }): Promise<void> => {
  await app?.close();
  app = await bootWith(database, { views: [DailyRevenue, OrderTotal], history });
  refreshes = app.get(RefreshService);
};

beforeAll(async () => {
  database = await TestDatabase.create();
  await database.query(`CREATE TABLE orders (day text, amount numeric)`);
});

beforeEach(async () => {
  await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE`);
  await database.query(`DROP MATERIALIZED VIEW IF EXISTS order_total`);
  await database.query(`TRUNCATE orders`);
  await database.query(`INSERT INTO orders VALUES ('mon', 1), ('tue', 5)`);
  await restart();
});

afterAll(async () => {
  await app.close();
  await database.drop();
});

describe('history', () => {
  it('has the runs of all views, filtered and page by page', async () => {
    await refreshes.refresh(OrderTotal);
    await refreshes.refresh(DailyRevenue);
    await database.query(`INSERT INTO orders VALUES ('wed', 0)`);
    await expect(refreshes.refresh(DailyRevenue)).rejects.toThrow();

    const all = await refreshes.historyAll();
    const expected = [
      ...(await refreshes.history(DailyRevenue)).map((run) => run.runId),
      ...(await refreshes.history(OrderTotal)).map((run) => run.runId),
    ];
    expect(all.map(({ runId }) => runId).sort()).toEqual(expected.sort());
    expect(all[0]).toMatchObject({ view: 'Analytics eu.daily "Revenue"', outcome: 'failed' });

    const paged: string[] = [];
    let page = await refreshes.historyAll({ limit: 2 });
    while (page.length > 0) {
      paged.push(...page.map(({ runId }) => runId));
      page = await refreshes.historyAll({ limit: 2, olderThan: page.at(-1) });
    }
    expect(paged).toEqual(all.map(({ runId }) => runId));

    const { startedAt } = all[1]!;
    expect(await refreshes.historyAll({ since: startedAt })).toEqual(all.slice(0, 2));
    expect(await refreshes.historyAll({ until: startedAt })).toEqual(all.slice(2));
    expect(await refreshes.historyAll({ outcomes: ['failed'] })).toEqual([all[0]]);
    expect(await refreshes.historyAll({ views: [OrderTotal], outcomes: ['failed'] })).toEqual([]);
    await expect(refreshes.historyAll({ outcomes: ['fine' as 'failed'] })).rejects.toThrow(
      InvalidOptionsError,
    );
    await expect(refreshes.historyAll({ views: ['public.none'] })).rejects.toThrow(
      UnknownViewError,
    );

    const [daily, total] = await refreshes.recentRuns({ limit: 2 });
    expect(daily?.runs.map(({ outcome }) => outcome)).toEqual(['refreshed', 'failed']);
    expect(total).toMatchObject({ view: 'public.order_total', dataSource: 'default' });
    expect(total?.runs.at(-1)).toMatchObject({ outcome: 'refreshed', startedAt: expect.any(Date) });
  });

  it('has the runs of one view, newest first', async () => {
    const first = await refreshes.refresh(DailyRevenue);
    await refreshes.refresh(OrderTotal);
    await database.query(`INSERT INTO orders VALUES ('wed', 0)`);
    await expect(refreshes.refresh(DailyRevenue)).rejects.toThrow();

    const [failure, success, creation, ...others] = await refreshes.history(DailyRevenue);

    expect(others).toEqual([]);
    expect(failure).toMatchObject({
      trigger: 'demand',
      attempt: 1,
      outcome: 'failed',
      errorCode: '22012',
      errorMessage: 'division by zero',
    });
    expect(failure?.mode).toBeUndefined();
    expect(success).toMatchObject({
      runId: first.runId,
      outcome: 'refreshed',
      mode: 'concurrently',
      modeReason: 'unique_index',
      startedAt: first.startedAt,
      finishedAt: first.finishedAt,
      durationMs: first.durationMs,
    });
    expect(success?.host).toMatch(new RegExp(`:${process.pid}$`));
    expect(success?.tick).toBeUndefined();
    expect(success?.errorCode).toBeUndefined();
    expect(creation).toMatchObject({ trigger: 'sync', modeReason: 'created', mode: 'blocking' });
  });

  it('returns ticks and row counts as they are', async () => {
    await database.query(
      `INSERT INTO materialized_views.refresh_history
         (run_id, schema_name, view_name, trigger, tick, outcome, attempt, inserted_count, deleted_count,
          started_at, finished_at, host)
       VALUES (gen_random_uuid(), 'public', 'order_total', 'schedule', '2100-01-01 00:00Z', 'refreshed', 2,
               5000000000, 0, '2100-01-01 00:00:00.125Z', '2100-01-01 00:00:01Z', 'elsewhere:1')`,
    );
    // Its times are ahead of the clock, so it does not count as the newest run.
    expect((await refreshes.history('public.order_total')).at(-1)).toMatchObject({
      trigger: 'schedule',
      tick: new Date('2100-01-01T00:00:00Z'),
      attempt: 2,
      insertedCount: 5_000_000_000,
      deletedCount: 0,
      startedAt: new Date('2100-01-01T00:00:00.125Z'),
      durationMs: 875,
      host: 'elsewhere:1',
    });
  });

  it('ends after the given number of runs, or 50', async () => {
    await insertRuns('order_total', { from: 1, to: 60 });
    const ends = (await refreshes.history(OrderTotal)).map((run) => run.startedAt.getTime());
    expect(ends).toHaveLength(50);
    expect(ends).toEqual([...ends].sort((a, b) => b - a));
    expect(await refreshes.history(OrderTotal, { limit: 1_000 })).toHaveLength(61);
    expect(await refreshes.history(OrderTotal, { limit: 3 })).toHaveLength(3);
  });

  it.each([0, 1.5, 1_001, '5', null])('refuses the limit %p', async (limit) => {
    await expect(refreshes.history(OrderTotal, { limit: limit as number })).rejects.toThrow(
      /RefreshService.history: expected `limit` to be a whole number from 1 to 1000/,
    );
  });

  it('refuses unknown arguments', async () => {
    await expect(refreshes.history('public.nothing')).rejects.toThrow(UnknownViewError);
    await expect(refreshes.history(OrderTotal, null as never)).rejects.toThrow(InvalidOptionsError);
  });
});

describe('pruning of the history', () => {
  const prune = (): Promise<number> => managed(app).refresher.history.prune();

  it('deletes what is too old, even for views that are no longer declared', async () => {
    await restart({ maxAge: '10d' });
    await insertRuns('order_total', { from: 8 * 24, to: 12 * 24 });
    await insertRuns('dropped "View"', { from: 11 * 24, to: 12 * 24 });
    expect(await prune()).toBe(2 * 24 + 1 + 24);
    expect(await runsOf('order_total')).toMatchObject({ count: 2 * 24 + 1 });
    // The last success is kept.
    expect(await runsOf('dropped "View"')).toMatchObject({ count: 1, newest: 11 * 24 });
    expect(await prune()).toBe(0);
  });

  it("deletes a view's surplus runs, in as many batches as needed", async () => {
    await restart({ maxCount: 7 });
    await insertRuns('order_total', { from: 1, to: 500, perHour: 5 });
    await insertRuns('other', { from: 1, to: 6 });
    expect(await prune()).toBe(2_500 + 1 - 7);
    expect(await runsOf('order_total')).toMatchObject({ count: 7, newest: 0 });
    expect(await runsOf('other')).toMatchObject({ count: 6 });
  });

  it('keeps runs even if more ticks were skipped since', async () => {
    await restart({ maxCount: 7 });
    await insertRuns('a "View"', { from: 100, to: 119 });
    await insertRuns('a "View"', { from: 1, to: 20, outcome: 'skipped' });
    expect(await prune()).toBe(13 + 13);
    expect(await outcomesOf('a "View"')).toEqual({ refreshed: 7, skipped: 7 });
  });

  it('keeps the last success and the last failure, whatever their age', async () => {
    await restart({ maxAge: '1d', maxCount: 1 });
    await insertRuns('a', { from: 48, to: 60, outcome: 'cancelled' });
    await insertRuns('a', { from: 100, to: 110, outcome: 'refreshed' });
    await insertRuns('a', { from: 200, to: 210, outcome: 'timeout' });
    await insertRuns('b', { from: 48, to: 50, outcome: 'failed' });
    expect(await prune()).toBe(13 + 10 + 10 + 2);
    expect(await runsOf('a')).toEqual({
      count: 2,
      newest: 100,
      outcomes: ['refreshed', 'timeout'],
    });
    expect(await runsOf('b')).toEqual({ count: 1, newest: 48, outcomes: ['failed'] });
  });

  it('skips what another process is deleting', async () => {
    await restart({ maxAge: '1d' });
    await insertRuns('a', { from: 48, to: 60 });
    const other = await database.session();
    await other.query('BEGIN');
    await other.query(
      `SELECT FROM materialized_views.refresh_history
       WHERE view_name = 'a' AND started_at < now() - interval '54.5 hours' FOR UPDATE`,
    );
    expect(await prune()).toBe(6);
    await other.query('ROLLBACK');
    expect(await prune()).toBe(6);
    await other.end();
  });

  it('scans an index for each view, however long the history is', async () => {
    await insertRuns('a', { from: 1, to: 3_000, outcome: 'skipped' });
    await database.query('ANALYZE materialized_views.refresh_history');
    const views = [{ schema_name: 'public', view_name: 'a' }];
    const prunable = { ...views[0]!, outcome: 'skipped', cutoff: Date.now(), kept_runs: [] };
    const name = { schema: 'public', name: 'a' };
    const session = await database.session();
    await session.query('BEGIN');
    await session.query(followIndex().text);
    const plans: string[] = [];
    for (const { text, values } of [
      selectViewsWithHistory(STATE, views[0], 10),
      selectPrunable(STATE, views, { maxAgeMs: 1, maxCount: 1_000 }),
      pruneHistory(STATE, prunable, { from: 0, batchSize: 1_000 }),
      selectHistory(STATE, name, 50),
      selectHistoryOfAll(STATE, [name], NO_FILTER, 50),
      selectRecentRuns(STATE, [name], 30),
      selectViewStatuses(STATE, [name]),
      selectMeanDurations(STATE, [name]),
    ]) {
      const { rows } = await session.query(`EXPLAIN (COSTS OFF) ${text}`, values);
      plans.push(rows.map((row: Record<string, string>) => row['QUERY PLAN']).join('\n'));
    }
    await session.end();
    for (const plan of plans) {
      expect(plan).toMatch(/Index (Only )?Scan (Backward )?using refresh_history_(view|outcome)/);
      expect(plan).not.toMatch(/(Seq|Bitmap \w+) Scan on refresh_history/);
    }
  });

  it('is done in the background at most once an hour', async () => {
    await restart({ maxAge: '1d' });
    await insertRuns('a', { from: 48, to: 60 });
    const pruner = managed(app).refresher.history;
    const prunings = jest.spyOn(pruner, 'prune');
    pruner.maybePrune();
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE view_name = 'a' HAVING count(*) = 1`,
    );
    pruner.maybePrune();
    expect(prunings).toHaveBeenCalledTimes(1);
  });

  it('is done by one process at a time, and by another when it has not been done for an hour', async () => {
    const lease = `FROM materialized_views.lease WHERE name LIKE 'history %'`;
    await restart({ maxAge: '2d' });
    await insertRuns('a', { from: 48, to: 60 });
    managed(app).refresher.history.maybePrune();
    const left = `SELECT FROM materialized_views.refresh_history WHERE view_name = 'a' HAVING count(*) = 1`;
    await database.until(left);
    await insertRuns('a', { from: 48, to: 60 });

    const second = new HistoryPruner(managed(app));
    const prunings = jest.spyOn(second, 'prune');
    second.maybePrune();
    await database.until(`SELECT ${lease} AND next_turn_at IS NOT NULL`);
    await second.stop();
    expect(prunings).not.toHaveBeenCalled();

    await database.query(
      `UPDATE materialized_views.lease SET renewed_at = renewed_at - interval '1 hour' WHERE name LIKE 'history %'`,
    );
    new HistoryPruner(managed(app)).maybePrune();
    await database.until(left);
  });

  it('warns about a failure in the background, and throws nothing', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn');
    const pruner = managed(app).refresher.history;
    await database.query('ALTER TABLE materialized_views.refresh_history RENAME TO away');
    const warned = new Promise<string>((resolve) => {
      warn.mockImplementation((message: string) => resolve(message));
    });
    pruner.maybePrune();
    expect(await warned).toMatch(
      /Old rows of materialized_views.refresh_history could not be deleted/,
    );
    warn.mockRestore();
    await database.query('ALTER TABLE materialized_views.away RENAME TO refresh_history');
  });
});

/** Adds runs that began `from` to `to` hours ago, `perHour` in each hour. */
async function insertRuns(
  view: string,
  {
    from,
    to,
    perHour = 1,
    outcome = 'refreshed',
  }: { from: number; to: number; perHour?: number; outcome?: string },
): Promise<void> {
  await database.query(
    `INSERT INTO materialized_views.refresh_history
       (run_id, schema_name, view_name, trigger, outcome, started_at, finished_at, host)
     SELECT gen_random_uuid(), 'public', $1, 'demand', $4, at, at + interval '1 s', 'test'
     FROM generate_series($2::int, $3::int) AS hour
     CROSS JOIN generate_series(1, $5::int) AS run
     CROSS JOIN LATERAL (SELECT now() - hour * interval '1 hour' - run * interval '1 minute' AS at) AS began`,
    [view, from, to, outcome, perHour],
  );
}

/** The number of runs, their outcomes, and how many hours ago the newest began. */
async function runsOf(view: string): Promise<Record<string, unknown> | undefined> {
  const [row] = await database.query(
    `SELECT count(*)::int AS count,
            floor(extract(epoch FROM now() - max(started_at)) / 3600)::int AS newest,
            array_agg(DISTINCT outcome ORDER BY outcome) AS outcomes
     FROM materialized_views.refresh_history WHERE view_name = $1`,
    [view],
  );
  return row;
}

async function outcomesOf(view: string): Promise<unknown> {
  const [row] = await database.query(
    `SELECT json_object_agg(outcome, count) AS counts FROM (
       SELECT outcome, count(*) FROM materialized_views.refresh_history WHERE view_name = $1 GROUP BY outcome
     ) AS each`,
    [view],
  );
  return row?.counts;
}
