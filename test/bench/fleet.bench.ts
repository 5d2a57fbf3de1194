import { setTimeout as pause } from 'node:timers/promises';
import { Replica } from '../support/replica-process.js';
import type { TestDatabase } from '../support/test-database.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { FleetOptions } from './fleet-process.js';
import type { Benchmark, CountTable, Outcome } from './benchmark.js';

const PROCESS_COUNTS = [1, 3, 10];
const VIEW_COUNT = 200;
/** How many members each process of an idle fleet has. */
const IDLE_MEMBERS = [[1], Array<number>(10).fill(2), Array<number>(10).fill(50)];
const IDLE_VIEW_COUNT = 10;
const SETTLING_MS = 180_000;
const MINUTE_MS = 60_000;
/** Processes that have a tick of all views at the same time. */
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
    const idle: number[][] = [];
    for (const members of IDLE_MEMBERS) {
      log(`idles ${sum(members)}`);
      await withDatabase(async (database) => {
        idle.push(await idleMinute(database, members));
        log(JSON.stringify(idle.at(-1)));
      });
    }
    const ticks: number[][] = [];
    for (const count of TICK_PROCESS_COUNTS) {
      log(`ticks ${count}`);
      await withDatabase(async (database) => {
        ticks.push(await tick(database, count));
        log(JSON.stringify(ticks.at(-1)));
      });
    }
    return { facts, comparisons: [], counts: [table(boots), idleTable(idle), tickTable(ticks)] };
  },
};

/** @returns when the first and the last were done, and how many refreshes failed because of a lock */
async function boot(database: TestDatabase, count: number): Promise<number[]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const replicas = Array.from({ length: count }, () => start(database, { viewCount: VIEW_COUNT }));
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

function start(database: TestDatabase, options: FleetOptions): Replica {
  return Replica.start(database.url, options as object, 'test/bench/fleet-process.ts');
}

/** @returns statements, new connections, milliseconds of the server's time, and the mean of open connections */
async function idleMinute(database: TestDatabase, members: number[]): Promise<number[]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const replicas = members.map((memberCount) =>
    start(database, { viewCount: IDLE_VIEW_COUNT, memberCount }),
  );
  const statements = async (): Promise<number> =>
    sum(await Promise.all(replicas.map((replica) => replica.ask<number>({}))));
  try {
    await Promise.all(replicas.map((replica) => replica.until('loaded')));
    await Promise.all(replicas.map((replica) => replica.ask({})));
    // Until each has had its turn: they have all come at the same time.
    await pause(members.length > 1 ? SETTLING_MS : MINUTE_MS / 2);
    const before = [await statements(), ...(await server(database))];
    const open: number[] = [];
    for (const endMs = performance.now() + MINUTE_MS; performance.now() < endMs;) {
      await pause(1_000);
      open.push(await openCount(database));
    }
    const after = [await statements(), ...(await server(database))];
    return [
      ...after.map((each, index) => Math.round(each - (before[index] ?? NaN))),
      Math.round((10 * sum(open)) / open.length) / 10,
    ];
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill()));
  }
}

/** What the server has counted so far, but for what this benchmark itself asks. */
async function server(database: TestDatabase): Promise<number[]> {
  const [row] = await database.query<{ sessions: number; activeMs: number }>(
    `SELECT sessions::int, active_time AS "activeMs" FROM pg_stat_database WHERE datname = current_database()`,
  );
  return [row?.sessions ?? NaN, row?.activeMs ?? NaN];
}

async function openCount(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `SELECT count(*)::int FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  );
  return row?.count ?? NaN;
}

function sum(values: number[]): number {
  return values.reduce((total, each) => total + each, 0);
}

function idleTable(idle: number[][]): CountTable {
  return {
    title: `A minute of an idle fleet with ${IDLE_VIEW_COUNT} views with \`on\``,
    columns: ['statements', 'new connections', "the server's time, ms", 'open connections'],
    rows: idle.map((counts, index) => ({
      name: `${sum(IDLE_MEMBERS[index] ?? [])} processes`,
      counts,
    })),
  };
}

/** @returns how long after the tick the last view was done, the statements of all processes, and what most and least did */
async function tick(database: TestDatabase, count: number): Promise<number[]> {
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const replicas = Array.from({ length: count }, () =>
    start(database, { viewCount: VIEW_COUNT, isScheduled: true }),
  );
  try {
    await Promise.all(replicas.map((replica) => replica.until('loaded')));
    for (const replica of replicas) {
      await replica.ask({});
    }
    await database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
    const tickAt = Date.now() + 2_000;
    await Promise.all(replicas.map((replica) => replica.ask({ tickAt })));
    const [done] = await database.until<{ lastMs: number; hosts: number; most: number }>(
      `SELECT extract(epoch FROM max(last) - to_timestamp($1::float8 / 1000))::float8 * 1000 AS "lastMs",
              count(*)::int AS hosts,
              max(count)::int AS most
       FROM (
         SELECT max(finished_at) AS last, count(*) AS count
         FROM materialized_views.refresh_history
         WHERE tick IS NOT NULL AND outcome = 'refreshed'
         GROUP BY host
       ) AS runs HAVING sum(count) = ${VIEW_COUNT}`,
      [tickAt],
    );
    const statements = await Promise.all(replicas.map((replica) => replica.ask<number>({})));
    const { lastMs, hosts, most } = done ?? { lastMs: NaN, hosts: NaN, most: NaN };
    return [lastMs, sum(statements), hosts, most].map(Math.round);
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill()));
  }
}

function tickTable(ticks: number[][]): CountTable {
  return {
    title: `A tick of ${VIEW_COUNT} views`,
    columns: ['the last view, ms', 'statements', 'processes that refreshed', 'most views of one'],
    rows: ticks.map((counts, index) => ({
      name: `${TICK_PROCESS_COUNTS[index]} processes`,
      counts,
    })),
  };
}

function table(boots: number[][]): CountTable {
  return {
    title: `Boots on ${VIEW_COUNT} new views`,
    columns: ['the first, ms', 'the last, ms', 'refreshes that failed with 55P03'],
    rows: boots.map((counts, index) => ({ name: `${PROCESS_COUNTS[index]} processes`, counts })),
  };
}
