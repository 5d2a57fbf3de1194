import { randomUUID } from 'node:crypto';
import { MaterializedViewEntity, RefreshService } from '../../lib/index.js';
import { Client } from 'pg';
import { Index, ViewColumn } from 'typeorm';
import { Network } from '../support/network.js';
import type { TestDatabase } from '../support/test-database.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide, type Way } from './side-by-side.js';

const VIEW_ROW_COUNT = 100;
const ITEM_COUNT = 1_000;
/** Typical between two availability zones of a region. */
const NETWORK_MS = 2;
const REFRESH = 'REFRESH MATERIALIZED VIEW';
const BARE_REFRESH = `${REFRESH} CONCURRENTLY bench.tiny`;
const OPTIONS = { baselines: ['bare statement'], warmUpCalls: 30 };

@MaterializedViewEntity({
  name: 'tiny',
  schema: 'bench',
  expression: `SELECT id % ${VIEW_ROW_COUNT} AS key, count(*) AS item_count FROM items GROUP BY 1`,
})
@Index(['key'], { unique: true })
class Tiny {
  @ViewColumn() key!: number;
  @ViewColumn({ name: 'item_count' }) itemCount!: string;
}

export const refreshBenchmark: Benchmark = {
  name: 'refresh',
  description: 'a tiny refresh by the library, beside the bare statement',
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  await database.query(
    `CREATE TABLE items AS SELECT id FROM generate_series(1, ${ITEM_COUNT}) AS id`,
  );
  await database.query(
    'CREATE TABLE bench_history (run_id uuid PRIMARY KEY, started_at timestamptz, finished_at timestamptz)',
  );
  log('measures on the local machine');
  const local = await measureLocally(database.url);
  log(`measures with ${NETWORK_MS} ms of network`);
  const { roundTrips, remote } = await measureRemotely(database.url);
  return {
    facts: {
      ...(await serverFacts(database)),
      view: `${VIEW_ROW_COUNT} rows over a table of ${ITEM_COUNT}, refreshed CONCURRENTLY, nothing changed`,
      ...roundTrips,
    },
    comparisons: [local, remote],
  };
}

async function measureLocally(url: string): Promise<Comparison> {
  return withWays(url, (ways) =>
    sideBySide({ ...OPTIONS, title: 'Local', ways, rounds: 16, callsPerRound: 40 }),
  );
}

async function measureRemotely(
  url: string,
): Promise<{ roundTrips: Outcome['facts']; remote: Comparison }> {
  const title = `Round trips ${NETWORK_MS} ms longer`;
  const network = await Network.to(url);
  network.degrade({ delayMs: NETWORK_MS, resetProbability: 0 });
  try {
    return await withWays(network.url, async (ways) => ({
      roundTrips: await countRoundTrips(network, ways),
      remote: await sideBySide({ ...OPTIONS, title, ways, rounds: 12, callsPerRound: 15 }),
    }));
  } finally {
    await network.stop();
  }
}

async function withWays<T>(url: string, work: (ways: Way[]) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await withApp(url, [Tiny], (app) => {
      const refreshes = app.get(RefreshService);
      return work([
        { name: 'bare statement', call: () => client.query(BARE_REFRESH) },
        { name: 'naive transaction', call: () => naiveRefresh(client) },
        { name: 'RefreshService.refresh', call: () => libraryRefresh(refreshes) },
      ]);
    });
  } finally {
    await client.end();
  }
}

async function libraryRefresh(refreshes: RefreshService): Promise<void> {
  const { outcome } = await refreshes.refresh(Tiny);
  if (outcome !== 'refreshed') {
    throw new Error(`The refresh that was measured was ${outcome}.`);
  }
}

/** What a careful application would do: a lock, limits and a history row, one statement at a time. */
async function naiveRefresh(client: Client): Promise<void> {
  await client.query('BEGIN');
  await client.query(`SET LOCAL lock_timeout = '5s'`);
  await client.query('SELECT pg_try_advisory_xact_lock($1::bigint)', ['4711']);
  await client.query(BARE_REFRESH);
  await client.query(
    'INSERT INTO bench_history (run_id, started_at, finished_at) VALUES ($1, now(), clock_timestamp())',
    [randomUUID()],
  );
  await client.query('COMMIT');
}

/**
 * Counts only the second call of each way, because the first may open a connection, and only the connection that refreshes,
 * because the caller doesn't wait for background work.
 */
async function countRoundTrips(network: Network, ways: Way[]): Promise<Outcome['facts']> {
  const counts: Outcome['facts'] = {};
  for (const way of ways) {
    await way.call();
    const before = network.flightCount(REFRESH);
    await way.call();
    counts[`round trips, ${way.name}`] = network.flightCount(REFRESH) - before;
  }
  return counts;
}
