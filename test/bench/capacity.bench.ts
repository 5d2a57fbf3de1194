import { setTimeout as pause } from 'node:timers/promises';
import { TestDatabase } from '../support/test-database.js';
import type { Replica } from '../support/replica-process.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { startMember, total } from './fleet-member.js';
import type { FleetOptions } from './fleet-process.js';

interface Scenario extends FleetOptions {
  name: string;
  /** @default 1 */
  processCount?: number;
  /** Writes per second to the table that all views read. @default 0 */
  writesPerSecond?: number;
}

const SCENARIOS: Scenario[] = [
  { name: '10 views with ticks that are far away', viewCount: 10, isScheduled: true },
  { name: '10 views with `on`', viewCount: 10 },
  { name: '100 views with `on`', viewCount: 100 },
  { name: '1,000 views with `on`', viewCount: 1_000 },
  { name: '10 views with `on`, 1 write a second', viewCount: 10, writesPerSecond: 1 },
  { name: '10 views with `on`, 100 writes a second', viewCount: 10, writesPerSecond: 100 },
  { name: '10 views with `on`, 10 processes', viewCount: 10, processCount: 2, memberCount: 5 },
  { name: '10 views with `on`, 500 processes', viewCount: 10, processCount: 10, memberCount: 50 },
];

const MINUTE_MS = 60_000;
/** Time for the first refreshes, before measuring. */
const SETTLES_MS = 20_000;

export const capacityBenchmark: Benchmark = {
  name: 'capacity',
  description:
    'what a minute costs by the number of views, processes and writes, and the memory of a process',
  run: (log) => withDatabase((database) => run(database, log)),
};

/** Runs all scenarios at once, each in a database of its own, because they do hardly any work. */
async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  const fleets: Fleet[] = [];
  try {
    for (const scenario of SCENARIOS) {
      log(`boots ${scenario.name}`);
      fleets.push(await Fleet.start(scenario));
    }
    log('lets them settle');
    fleets.forEach((fleet) => fleet.startWriting());
    await pause(SETTLES_MS);
    log('measures a minute');
    const minutes = await Promise.all(fleets.map((fleet) => fleet.minute()));
    const memory = await Promise.all(fleets.map((fleet) => fleet.memoryMb()));
    const rows = SCENARIOS.map(({ name }, index) => ({ name, counts: minutes[index] ?? [] }));
    return {
      facts: await serverFacts(database),
      comparisons: [],
      counts: [
        {
          title: 'A minute',
          columns: ['statements', 'new connections', "the server's time, ms", 'open connections'],
          rows,
        },
        {
          title: 'Memory of a process with one application, with the loader of TypeScript',
          columns: ['MB'],
          rows: SCENARIOS.map(({ name }, index) => ({
            name,
            counts: [memory[index] ?? NaN],
          })).filter((_, index) => (SCENARIOS[index]?.processCount ?? 1) === 1),
        },
      ],
    };
  } finally {
    await Promise.all(fleets.map((fleet) => fleet.end()));
  }
}

/** The processes of one scenario. */
class Fleet {
  private readonly writes = new AbortController();
  private writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly database: TestDatabase,
    private readonly members: Replica[],
    private readonly writesPerSecond: number,
  ) {}

  static async start({
    processCount = 1,
    writesPerSecond = 0,
    ...options
  }: Scenario): Promise<Fleet> {
    const database = await TestDatabase.create();
    await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
    const members = Array.from({ length: processCount }, () => startMember(database, options));
    const fleet = new Fleet(database, members, writesPerSecond);
    try {
      await Promise.all(members.map((member) => member.until('loaded')));
      await Promise.all(members.map((member) => member.ask({})));
    } catch (error) {
      await fleet.end();
      throw error;
    }
    return fleet;
  }

  startWriting(): void {
    this.writing = write(this.database, this.writesPerSecond, this.writes.signal);
  }

  /** Measures a minute: statements, new connections, server time in ms, mean number of open connections. */
  async minute(): Promise<number[]> {
    const before = await this.counts();
    const open = await openConnections(this.database);
    const after = await this.counts();
    return [...after.map((each, index) => Math.round(each - (before[index] ?? NaN))), open];
  }

  async memoryMb(): Promise<number> {
    return Math.round(((await this.members[0]?.ask<number>({ memory: true })) ?? NaN) / 1e6);
  }

  async end(): Promise<void> {
    this.writes.abort();
    await this.writing;
    await Promise.all(this.members.map((member) => member.kill()));
    await this.database.drop();
  }

  private async counts(): Promise<number[]> {
    const statements = this.members.map((member) => member.ask<number>({}));
    return [total(await Promise.all(statements)), ...(await server(this.database))];
  }
}

/** Writes on a connection of its own until `signal` aborts. */
async function write(
  database: TestDatabase,
  perSecond: number,
  signal: AbortSignal,
): Promise<void> {
  if (perSecond === 0) {
    return;
  }
  const session = await database.session();
  for (let dueMs = performance.now(); !signal.aborted; dueMs += 1_000 / perSecond) {
    await pause(Math.max(0, dueMs - performance.now()));
    await session.query('UPDATE items SET id = id WHERE id = 1');
  }
  await session.end();
}

/** The server's counters: sessions, and milliseconds spent running statements. */
async function server(database: TestDatabase): Promise<number[]> {
  const [row] = await database.query<{ sessions: number; activeMs: number }>(
    `SELECT sessions::int, active_time AS "activeMs" FROM pg_stat_database WHERE datname = current_database()`,
  );
  return [row?.sessions ?? NaN, row?.activeMs ?? NaN];
}

/** The mean number of open connections in a minute, without the benchmark's own. */
async function openConnections(database: TestDatabase): Promise<number> {
  const open: number[] = [];
  for (const endMs = performance.now() + MINUTE_MS; performance.now() < endMs;) {
    await pause(1_000);
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend'
         AND query NOT LIKE 'UPDATE items%' AND pid <> pg_backend_pid()`,
    );
    open.push(row?.count ?? NaN);
  }
  return Math.round((10 * total(open)) / open.length) / 10;
}
