import { Replica } from '../support/replica-process.js';
import type { TestDatabase } from '../support/test-database.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, CountTable, Log, Outcome } from './benchmark.js';

const PROCESS_COUNT = 8;
const TICK_COUNT = 20;
/** How far apart the processes' timers fire. On real machines, clocks and load differ. */
const SPREADS_MS = [0, 50, 200];
const ROW_COUNT = 1_000;

const WAYS = {
  library: 'the library',
  try_lock: 'pg_try_advisory_xact_lock alone',
  plain: 'plain @Cron',
};

type Counts = Record<keyof typeof WAYS, number>;

export const clusterBenchmark: Benchmark = {
  name: 'cluster',
  description: `refreshes of ${PROCESS_COUNT} processes in ${TICK_COUNT} ticks, beside plain @Cron and a lock alone`,
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  await prepare(database);
  const counts: { spreadMs: number; refreshes: Counts }[] = [];
  for (const spreadMs of SPREADS_MS) {
    log(`starts ${PROCESS_COUNT} processes with timers spread over ${spreadMs} ms`);
    counts.push({ spreadMs, refreshes: await count(database, spreadMs) });
  }
  const [success] = await database.query<{ twice: number }>(
    `SELECT count(*)::int AS twice FROM (
       SELECT FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick IS NOT NULL GROUP BY tick HAVING count(*) > 1
     ) AS ticks`,
  );
  return {
    facts: {
      ...(await serverFacts(database)),
      view: `${ROW_COUNT} rows, refreshed CONCURRENTLY every second in each way, at the same time`,
      'ticks with two successes in the history of the library': success?.twice ?? NaN,
    },
    comparisons: [],
    counts: [table(counts)],
  };
}

/** Creates the views. A sequence for each counts how often its query ran. */
async function prepare(database: TestDatabase): Promise<void> {
  await database.query('CREATE SCHEMA bench');
  for (const way of Object.keys(WAYS)) {
    await database.query(`CREATE SEQUENCE bench.${way}_runs`);
    await database.query(
      `CREATE VIEW bench.${way}_query AS
       SELECT id, (SELECT nextval('bench.${way}_runs')) AS run FROM generate_series(1, ${ROW_COUNT}) AS id`,
    );
  }
  for (const way of ['plain', 'try_lock']) {
    await database.query(
      `CREATE MATERIALIZED VIEW bench.${way} AS SELECT id, run FROM bench.${way}_query`,
    );
    await database.query(`CREATE UNIQUE INDEX ON bench.${way} (id)`);
  }
}

async function count(database: TestDatabase, spreadMs: number): Promise<Counts> {
  const replicas = Array.from({ length: PROCESS_COUNT }, (_, index) =>
    Replica.start(
      database.url,
      { clockOffsetMs: -Math.round((spreadMs * index) / (PROCESS_COUNT - 1)) },
      'test/bench/cluster-process.ts',
    ),
  );
  try {
    await Promise.all(replicas.map((replica) => replica.until('booted')));
    const startsAt = await untilBetweenTicks(database, 2);
    const before = await runs(database);
    await untilBetweenTicks(database, TICK_COUNT, startsAt);
    const after = await runs(database);
    return {
      library: after.library - before.library,
      try_lock: after.try_lock - before.try_lock,
      plain: after.plain - before.plain,
    };
  } finally {
    await Promise.all(replicas.map((replica) => replica.kill()));
  }
}

/** Resolves 0.8 s after a tick, when its refreshes are over: `ticks` ticks after `since`, or after now. */
async function untilBetweenTicks(
  database: TestDatabase,
  ticks: number,
  since?: Date,
): Promise<Date> {
  const [row] = await database.query<{ at: Date }>(
    `SELECT date_trunc('second', coalesce($2::timestamptz, clock_timestamp())) + ($1 + 0.8) * interval '1 s' AS at`,
    [ticks, since ?? null],
  );
  await database.until('SELECT WHERE clock_timestamp() >= $1::timestamptz', [row?.at]);
  return row?.at ?? new Date(NaN);
}

async function runs(database: TestDatabase): Promise<Counts> {
  const [row] = await database.query<Counts>(
    `SELECT ${Object.keys(WAYS)
      .map((way) => `(SELECT last_value::int FROM bench.${way}_runs) AS ${way}`)
      .join(', ')}`,
  );
  return row ?? { library: NaN, try_lock: NaN, plain: NaN };
}

function table(counts: { spreadMs: number; refreshes: Counts }[]): CountTable {
  return {
    title: `${PROCESS_COUNT} processes, ${TICK_COUNT} ticks: refreshes done`,
    columns: counts.map(({ spreadMs }) => `timers within ${spreadMs} ms`),
    rows: Object.entries(WAYS).map(([way, name]) => ({
      name,
      counts: counts.map(({ refreshes }) => refreshes[way as keyof Counts]),
    })),
  };
}
