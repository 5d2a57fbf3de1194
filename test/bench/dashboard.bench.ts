import { MaterializedViewsDashboardModule } from '../../lib/dashboard/index.js';
import { DashboardReader } from '../../lib/dashboard/dashboard.reader.js';
import { listen } from '../support/http-app.js';
import { statementsOf } from '../support/statement-count.js';
import type { TestDatabase } from '../support/test-database.js';
import { viewClass, YEARLY } from '../support/view-class.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide } from './side-by-side.js';

const SIZES = [10, 100, 500];
const RUNS = 30;

export const dashboardBenchmark: Benchmark = {
  name: 'dashboard',
  description: 'pages of the dashboard with 10, 100 and 500 views',
  run: (log) => withDatabase((database) => run(database, log)),
};

interface PageCost {
  comparison: Comparison;
  statementCount: number;
  size: number;
}

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  await database.query(`CREATE TABLE source AS SELECT generate_series(1, 100) AS id`);
  const costs: PageCost[] = [];
  for (const size of SIZES) {
    log(`${size} views`);
    costs.push(await measure(database, size));
  }
  return {
    facts: { ...(await serverFacts(database)), 'runs of each view': RUNS },
    comparisons: costs.map(({ comparison }) => comparison),
    counts: [
      {
        title: 'the list of views',
        columns: SIZES.map((size) => `${size} views`),
        rows: [
          { name: 'statements', counts: costs.map(({ statementCount }) => statementCount) },
          { name: 'kB of HTML', counts: costs.map(({ size }) => Math.round(size / 1_000)) },
        ],
      },
    ],
  };
}

/** Clears the dashboard's cache before each call, except for `list, as read for another`. */
async function measure(database: TestDatabase, size: number): Promise<PageCost> {
  const views = Array.from({ length: size }, (_, position) =>
    viewClass({
      name: `view_${position}`,
      expression: `SELECT id FROM public.source`,
      key: ['id'],
      refresh: { cron: YEARLY, skipUnchanged: true },
    }),
  );
  const dashboard = MaterializedViewsDashboardModule.forRoot({ allowUnauthenticated: true });
  const { app, url } = await listen({
    platform: 'express',
    database,
    options: { views },
    metadata: { imports: [dashboard] },
  });
  try {
    await addRuns(database);
    const reader = app.get(DashboardReader, { strict: false });
    const get = async (path: string): Promise<string> =>
      (await fetch(`${url}/materialized-views/${path}`)).text();
    const read = (name: string, path: string) => ({
      name,
      prepare: () => Promise.resolve(reader.forget()),
      call: () => get(path),
    });
    const comparison = await sideBySide({
      title: `${size} views`,
      ways: [
        { name: 'list, as read for another', call: () => get('') },
        read('list', ''),
        read('one view', 'view?source=default&view=public.view_0'),
        read('graph', 'graph'),
        read('runs', 'runs'),
      ],
      baselines: ['list, as read for another'],
      rounds: 3,
      callsPerRound: 5,
      warmUpCalls: 2,
    });
    reader.forget();
    let text = '';
    const statements = await statementsOf(async () => (text = await get('')));
    return { comparison, statementCount: statements.length, size: Buffer.byteLength(text) };
  } finally {
    await app.close();
  }
}

async function addRuns(database: TestDatabase): Promise<void> {
  await database.query(`INSERT INTO materialized_views.refresh_history
      (run_id, schema_name, view_name, trigger, outcome, mode, started_at, finished_at, host)
    SELECT gen_random_uuid(), schema_name, view_name, 'schedule', 'refreshed', 'concurrently',
           now() - run * interval '1 minute', now() - run * interval '1 minute' + run * interval '1 ms', 'bench:1'
    FROM materialized_views.view_state, generate_series(1, ${RUNS}) AS run`);
  await database.query(`ANALYZE`);
}
