import { Replica, type ReplicaOptions } from '../support/replica-process.js';
import type { TestDatabase } from '../support/test-database.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, CountTable, Outcome } from './benchmark.js';

const PROCESS_COUNTS = [1, 3, 10];
const VIEW_COUNT = 200;

export const fleetBenchmark: Benchmark = {
  name: 'fleet',
  description: `processes that boot at the same time on ${VIEW_COUNT} new views with \`on\``,
  run: async (log) => {
    const boots: number[][] = [];
    let facts: Outcome['facts'] = {};
    for (const count of PROCESS_COUNTS) {
      log(`boots ${count}`);
      await withDatabase(async (database) => {
        facts = await serverFacts(database);
        boots.push(await boot(database, count));
        log(JSON.stringify(boots.at(-1)));
      });
    }
    return { facts, comparisons: [], counts: [table(boots)] };
  },
};

/** @returns when the first and the last were done, and how many refreshes failed because of a lock */
async function boot(database: TestDatabase, count: number): Promise<number[]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const options = { viewCount: VIEW_COUNT } as ReplicaOptions;
  const replicas = Array.from({ length: count }, () =>
    Replica.start(database.url, options, 'test/bench/fleet-process.ts'),
  );
  try {
    await Promise.all(replicas.map((replica) => replica.until('loaded')));
    const tookMs = await Promise.all(replicas.map((replica) => replica.ask<number>({})));
    await database.until(
      `SELECT FROM materialized_views.view_state WHERE source_signature IS NOT NULL
       HAVING count(*) = ${VIEW_COUNT}`,
    );
    const [failed] = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM materialized_views.refresh_history WHERE error_code = '55P03'`,
    );
    return [Math.min(...tookMs), Math.max(...tookMs), failed?.count ?? NaN].map(Math.round);
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill()));
  }
}

function table(boots: number[][]): CountTable {
  return {
    title: `Boots on ${VIEW_COUNT} new views`,
    columns: ['the first, ms', 'the last, ms', 'refreshes that failed with 55P03'],
    rows: boots.map((counts, index) => ({ name: `${PROCESS_COUNTS[index]} processes`, counts })),
  };
}
