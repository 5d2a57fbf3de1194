import type { Replica } from '../support/replica-process.js';
import type { TestDatabase } from '../support/test-database.js';
import { serverFacts, withDatabase } from './bench-database.js';
import { startMember, total } from './fleet-member.js';
import type { Benchmark, CountTable, Outcome } from './benchmark.js';

const PROCESS_COUNTS = [1, 3, 10];
const VIEW_COUNT = 200;
/** How many processes have a tick of all views at the same time. */
const TICK_PROCESS_COUNTS = [1, 20];

export const fleetBenchmark: Benchmark = {
  name: 'fleet',
  description: `processes that boot at the same time on ${VIEW_COUNT} new views, and that have a tick of all of them`,
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
    const ticked: [string, number[]][] = [];
    for (const count of TICK_PROCESS_COUNTS) {
      log(`ticks ${count}`);
      await withDatabase(async (database) => {
        const [first = [], next = []] = await ticks(database, count);
        ticked.push(
          [`${count} processes, first tick`, first],
          [`${count} processes, next tick`, next],
        );
        log(JSON.stringify([first, next]));
      });
    }
    return { facts, comparisons: [], counts: [table(boots), tickTable(ticked)] };
  },
};

/** @returns the shortest and the longest boot in ms, and how many refreshes failed because of a lock */
async function boot(database: TestDatabase, count: number): Promise<number[]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const replicas = Array.from({ length: count }, () =>
    startMember(database, { viewCount: VIEW_COUNT }),
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

/**
 * Measures the first tick of new processes, which open connections and run their code for the first time, and the next one.
 *
 * @returns for each tick: the ms until the last view was refreshed, the statements of all processes, the number of processes
 * that refreshed a view, and the most views that one process refreshed
 */
async function ticks(database: TestDatabase, count: number): Promise<number[][]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const replicas = Array.from({ length: count }, () =>
    startMember(database, { viewCount: VIEW_COUNT, isScheduled: true }),
  );
  try {
    await Promise.all(replicas.map((replica) => replica.until('loaded')));
    for (const replica of replicas) {
      await replica.ask({});
    }
    return [await tick(database, replicas), await tick(database, replicas)];
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill()));
  }
}

async function tick(database: TestDatabase, replicas: Replica[]): Promise<number[]> {
  await database.query(
    `UPDATE materialized_views.view_state SET last_tick = '2020-01-01', claimed_tick = NULL`,
  );
  const tickAt = Date.now() + 2_000;
  await Promise.all(replicas.map((replica) => replica.ask({ tickAt })));
  const [done] = await database.until<{ lastMs: number; hosts: number; most: number }>(
    `SELECT extract(epoch FROM max(last) - to_timestamp($1::float8 / 1000))::float8 * 1000 AS "lastMs",
            count(*)::int AS hosts,
            max(count)::int AS most
     FROM (
       SELECT max(finished_at) AS last, count(*) AS count
       FROM materialized_views.refresh_history
       WHERE tick IS NOT NULL AND outcome = 'refreshed' AND started_at >= to_timestamp($1::float8 / 1000)
       GROUP BY host
     ) AS runs HAVING sum(count) = ${VIEW_COUNT}`,
    [tickAt],
  );
  const statements = await Promise.all(replicas.map((replica) => replica.ask<number>({})));
  const { lastMs, hosts, most } = done ?? { lastMs: NaN, hosts: NaN, most: NaN };
  return [lastMs, total(statements), hosts, most].map(Math.round);
}

function tickTable(ticked: [string, number[]][]): CountTable {
  return {
    title: `A tick of ${VIEW_COUNT} views`,
    columns: ['the last view, ms', 'statements', 'processes that refreshed', 'most views of one'],
    rows: ticked.map(([name, counts]) => ({ name, counts })),
  };
}

function table(boots: number[][]): CountTable {
  return {
    title: `Boots on ${VIEW_COUNT} new views`,
    columns: ['the first, ms', 'the last, ms', 'refreshes that failed with 55P03'],
    rows: boots.map((counts, index) => ({ name: `${PROCESS_COUNTS[index]} processes`, counts })),
  };
}
