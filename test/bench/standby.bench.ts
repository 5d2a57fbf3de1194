import { RefreshService, type SingleRefreshOptions } from '../../lib/index.js';
import { Client } from 'pg';
import { FaultServer } from '../support/fault-server.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';
import { withApp } from './bench-app.js';
import { serverFacts } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';

const REFRESH_COUNT = 500;
const WRITER_COUNT = 2;

const Latest = viewClass({
  name: 'latest',
  schema: 'bench',
  expression: 'SELECT 1 AS id, max(id) AS item FROM public.items',
  columns: ['id', 'item'],
  key: ['id'],
});

export const standbyBenchmark: Benchmark = {
  name: 'standby',
  description: `reads on a standby right after each of ${REFRESH_COUNT} refreshes, under write load`,
  run: async (log) => {
    const primary = await FaultServer.start();
    const standby = await primary.startStandby();
    try {
      return await run(primary, standby, log);
    } finally {
      await standby.stop();
      await primary.stop();
    }
  },
};

async function run(primary: FaultServer, standby: FaultServer, log: Log): Promise<Outcome> {
  const database = await TestDatabase.create(primary.url);
  await database.query('CREATE TABLE items (id int); CREATE TABLE noise (note text)');
  const url = new URL(standby.url);
  url.pathname = `/${database.name}`;
  return withApp(database.url, [Latest], async (app) => {
    const reader = new Client({ connectionString: url.href });
    await database.until(`SELECT FROM pg_stat_replication WHERE state = 'streaming'`);
    const writers = new Writers(database);
    await writers.start();
    await reader.connect();
    const counts = [];
    for (const [name, options] of Object.entries<SingleRefreshOptions>({
      refresh: {},
      'refresh with waitForReplicas': { waitForReplicas: true },
    })) {
      log(`measures ${name}`);
      counts.push({
        name,
        counts: await measure(app.get(RefreshService), database, reader, options),
      });
    }
    await writers.stop();
    await reader.end();
    const columns = ['stale reads', 'median ms', 'p99 ms'];
    const facts = { ...(await serverFacts(database)), writers: WRITER_COUNT };
    return { facts, comparisons: [], counts: [{ title: 'On the standby', columns, rows: counts }] };
  });
}

async function measure(
  refreshes: RefreshService,
  database: TestDatabase,
  reader: Client,
  options: SingleRefreshOptions,
): Promise<number[]> {
  const timesMs: number[] = [];
  let staleCount = 0;
  for (let round = 0; round < REFRESH_COUNT; round++) {
    const [row] = await database.query<{ id: number }>(
      'INSERT INTO items SELECT coalesce(max(id), 0) + 1 FROM items RETURNING id',
    );
    const startedAtMs = performance.now();
    await refreshes.refresh(Latest, options);
    timesMs.push(performance.now() - startedAtMs);
    const { rows } = await reader.query<{ item: number }>('SELECT item FROM bench.latest');
    staleCount += rows[0]?.item === row?.id ? 0 : 1;
  }
  timesMs.sort((a, b) => a - b);
  const at = (share: number): number =>
    Math.round((timesMs[Math.floor(share * timesMs.length)] ?? NaN) * 10) / 10;
  return [staleCount, at(0.5), at(0.99)];
}

/** Sessions that write until `stop`. */
class Writers {
  private isStopped = false;
  private writing: Promise<unknown>[] = [];

  constructor(private readonly database: TestDatabase) {}

  async start(): Promise<void> {
    const clients = await Promise.all(
      Array.from({ length: WRITER_COUNT }, () => this.database.session()),
    );
    this.writing = clients.map((client) => this.write(client));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.writing);
  }

  private async write(client: Client): Promise<void> {
    while (!this.isStopped) {
      await client.query(`INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 20)`);
    }
    await client.end();
  }
}
