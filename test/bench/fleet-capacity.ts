import { setTimeout as pause } from 'node:timers/promises';
import type { TestDatabase } from '../support/test-database.js';
import { withDatabase } from './bench-database.js';
import type { CountTable, Log } from './benchmark.js';
import { startMember, total } from './fleet-member.js';
import type { FleetOptions } from './fleet-process.js';

interface Scenario extends FleetOptions {
  name: string;
  /** @default 1 */
  processCount?: number;
  /** Statements a second that write to what all views read. @default 0 */
  writesPerSecond?: number;
}

const SCENARIOS: Scenario[] = [
  { name: '10 views with ticks that are far away', viewCount: 10, isScheduled: true },
  { name: '10 views with `on`', viewCount: 10 },
  { name: '100 views with `on`', viewCount: 100 },
  { name: '1,000 views with `on`', viewCount: 1_000 },
  { name: '10 views with `on`, 1 write a second', viewCount: 10, writesPerSecond: 1 },
  { name: '10 views with `on`, 100 writes a second', viewCount: 10, writesPerSecond: 100 },
  { name: '10 views with `on`, 20 processes', viewCount: 10, processCount: 10, memberCount: 2 },
  { name: '10 views with `on`, 500 processes', viewCount: 10, processCount: 10, memberCount: 50 },
];

const MINUTE_MS = 60_000;
/** Until processes that came at the same time have each had a turn. */
const FLEET_SETTLES_MS = 180_000;

interface Minute {
  name: string;
  /** Statements, new connections, milliseconds of the server's time, the mean of open connections. */
  counts: number[];
  /** Of one process, if that is one application. */
  memoryMb?: number;
}

/** What a minute costs by the number of views, processes and writes, and the memory of a process. */
export async function capacityTables(
  log: Log,
  scenarios: readonly Scenario[] = SCENARIOS,
): Promise<CountTable[]> {
  const minutes: Minute[] = [];
  for (const scenario of scenarios) {
    log(`a minute of ${scenario.name}`);
    minutes.push(await withDatabase((database) => measure(database, scenario)));
    log(JSON.stringify(minutes.at(-1)));
  }
  return [
    {
      title: 'A minute',
      columns: ['statements', 'new connections', "the server's time, ms", 'open connections'],
      rows: minutes,
    },
    {
      title: 'Memory of a process',
      columns: ['MB'],
      rows: minutes.flatMap(({ name, memoryMb }) =>
        memoryMb === undefined ? [] : [{ name, counts: [memoryMb] }],
      ),
    },
  ];
}

async function measure(database: TestDatabase, scenario: Scenario): Promise<Minute> {
  const { name, processCount = 1, writesPerSecond = 0, ...options } = scenario;
  await database.query('CREATE TABLE items AS SELECT id FROM generate_series(1, 1000) AS id');
  const members = Array.from({ length: processCount }, () => startMember(database, options));
  const writes = new AbortController();
  const writing = { ended: Promise.resolve() };
  const counts = async (): Promise<number[]> => [
    total(await Promise.all(members.map((member) => member.ask<number>({})))),
    ...(await server(database)),
  ];
  try {
    await Promise.all(members.map((member) => member.until('loaded')));
    await Promise.all(members.map((member) => member.ask({})));
    writing.ended = write(database, writesPerSecond, writes.signal);
    await pause(processCount > 1 ? FLEET_SETTLES_MS : MINUTE_MS / 2);
    const before = await counts();
    const open = await openConnections(database);
    const after = await counts();
    const memory = await members[0]?.ask<number>({ memory: true });
    return {
      name,
      counts: [...after.map((each, index) => Math.round(each - (before[index] ?? NaN))), open],
      memoryMb: processCount === 1 ? Math.round((memory ?? NaN) / 1e6) : undefined,
    };
  } finally {
    writes.abort();
    await writing.ended;
    await Promise.all(members.map((member) => member.kill()));
  }
}

/** Writes until it is told to stop, on a connection of its own. */
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

/** What the server has counted so far: sessions, and milliseconds in which statements ran. */
async function server(database: TestDatabase): Promise<number[]> {
  const [row] = await database.query<{ sessions: number; activeMs: number }>(
    `SELECT sessions::int, active_time AS "activeMs" FROM pg_stat_database WHERE datname = current_database()`,
  );
  return [row?.sessions ?? NaN, row?.activeMs ?? NaN];
}

/** The mean of a minute, but for those of this benchmark. */
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
