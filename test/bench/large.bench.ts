import type { INestApplicationContext } from '@nestjs/common';
import { RefreshService, type ViewClass } from '../../lib/index.js';
import { managed } from '../support/managed.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass, YEARLY } from '../support/view-class.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, CountTable, Log, Outcome } from './benchmark.js';
import { measureBoots, measureLooks, rounded, table } from './many-views.js';

const VIEW_COUNT = 100;
const RUN_COUNT = 2_000_000;
const LOOKED_COUNT = 1_000;
const BOOTED_COUNT = 2_000;
const CALL_COUNT = 5;
/** When to stop pruning: to prune everything would take minutes. */
const PRUNING_MS = 20_000;
/** How many views to measure at their first refresh. */
const FIRST_COUNT = 10;

const VIEWS = Array.from({ length: VIEW_COUNT }, (_, index) =>
  viewClass({
    name: `view_${index}`,
    schema: 'bench',
    expression: `SELECT id FROM public.items WHERE id <> ${index}`,
    key: ['id'],
    refresh: { cron: YEARLY, skipUnchanged: true },
  }),
);

export const largeBenchmark: Benchmark = {
  name: 'large',
  description: `${RUN_COUNT.toLocaleString('en')} runs in the history of ${VIEW_COUNT} views, first refreshes with JIT, looks at ${LOOKED_COUNT} views, boots with ${BOOTED_COUNT}`,
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  log(`looks at ${LOOKED_COUNT} views`);
  const looks = await measureLooks(database, LOOKED_COUNT);
  log(JSON.stringify(looks.rows));
  log(`boots with ${BOOTED_COUNT} views`);
  const other = await TestDatabase.create();
  const boots = await measureBoots(other, BOOTED_COUNT).finally(() => other.drop());
  log(JSON.stringify(boots.rows));
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  return withApp(database.url, VIEWS, async (app) => {
    log('refreshes');
    const refreshes = await measureFirst(app, VIEWS.slice(0, FIRST_COUNT));
    log(JSON.stringify(refreshes.rows));
    log('fills the history');
    await fillHistory(database);
    log('reads it');
    const reads = await measureReads(app);
    log(JSON.stringify(reads.rows));
    log('prunes it');
    const pruning = await measurePruning(app);
    return {
      facts: await serverFacts(database),
      comparisons: [],
      counts: [looks, boots, refreshes, reads, pruning],
    };
  });
}

/** Refreshes each view for the first time, and again. */
async function measureFirst(app: INestApplicationContext, views: ViewClass[]): Promise<CountTable> {
  const refreshes = app.get(RefreshService);
  const firstMs: number[] = [];
  const secondMs: number[] = [];
  for (const view of views) {
    firstMs.push(await timed(() => refreshes.refresh(view)));
    secondMs.push(await timed(() => refreshes.refresh(view)));
  }
  return table('A refresh, ms', { first: firstMs, second: secondMs });
}

async function measureReads(app: INestApplicationContext): Promise<CountTable> {
  const refreshes = app.get(RefreshService);
  const timeout = '60s';
  return table('Reading, ms', {
    [`statusAll of ${VIEW_COUNT} views`]: await times(() => refreshes.statusAll({ timeout })),
    'history of a view': await times(() => refreshes.history('bench.view_1', { timeout })),
  });
}

async function measurePruning(app: INestApplicationContext): Promise<CountTable> {
  const refreshes = app.get(RefreshService);
  const startedAtMs = performance.now();
  const history = managed(app).refresher.history;
  let isPruning = true;
  const pruning = history.prune().finally(() => (isPruning = false));
  const meanwhileMs: number[] = [];
  while (isPruning && performance.now() - startedAtMs < PRUNING_MS) {
    meanwhileMs.push(await timed(() => refreshes.statusAll({ timeout: '60s' })));
  }
  await history.stop();
  const count = await pruning;
  const perSecond = rounded((1_000 * count) / (performance.now() - startedAtMs));
  const title = `Pruning (${count} runs deleted, ${perSecond} a second), ms`;
  return table(title, { 'statusAll meanwhile': meanwhileMs });
}

/** A history in which four of five ticks were skipped and few refreshes failed. */
async function fillHistory(database: TestDatabase): Promise<void> {
  await database.query(
    `INSERT INTO materialized_views.refresh_history
       (run_id, schema_name, view_name, trigger, outcome, attempt, started_at, finished_at, host)
     SELECT gen_random_uuid(), 'bench', 'view_' || n % ${VIEW_COUNT}, 'schedule',
            CASE WHEN n / ${VIEW_COUNT} % 5 > 0 THEN 'skipped' WHEN n / ${VIEW_COUNT} % 20000 = 0 THEN 'failed' ELSE 'refreshed' END,
            1, at, at + interval '1 s', 'bench:1'
     FROM generate_series(1, ${RUN_COUNT}) AS n,
          LATERAL (SELECT now() - (n / ${VIEW_COUNT}) * interval '30 s' AS at) AS moment`,
  );
  await database.query(
    `UPDATE materialized_views.view_state SET last_failure_at = now() - interval '1 day'`,
  );
  await database.query('VACUUM ANALYZE materialized_views.refresh_history');
}

async function times(work: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let call = 0; call < CALL_COUNT; call++) {
    all.push(await timed(work));
  }
  return all;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await work();
  return performance.now() - startedAtMs;
}
