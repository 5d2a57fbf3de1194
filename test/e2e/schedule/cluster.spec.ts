import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Replica, type ReplicaOptions } from '../../support/replica-process.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';

/** The clock offsets of the four replicas, which spread their timers over 200 ms. */
const CLOCK_OFFSETS_MS = [0, -70, -130, -200];

const SUCCESSES = `SELECT tick, count(*)::int AS count FROM materialized_views.refresh_history
  WHERE outcome = 'refreshed' AND tick IS NOT NULL GROUP BY tick ORDER BY tick`;

const SUCCESS_OF_TICK = `SELECT host FROM materialized_views.refresh_history
  WHERE outcome = 'refreshed' AND tick = $1`;

describe('a cluster of four replicas', () => {
  let database: TestDatabase;
  let replicas: Replica[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS ticking CASCADE');
  });

  afterEach(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
  });

  afterAll(async () => {
    await database.drop();
  });

  const start = async (offsets: number[], options: ReplicaOptions): Promise<void> => {
    replicas = offsets.map((clockOffsetMs) =>
      Replica.start(database.url, { ...options, clockOffsetMs }),
    );
    await Promise.all(replicas.map((replica) => replica.until('booted')));
  };

  it.each([
    ['spread over 200 ms', CLOCK_OFFSETS_MS],
    ['with clocks that are ahead too', [-150, 0, 400, 900]],
  ])('refreshes once a tick, timers %s', async (_, offsets) => {
    await start(offsets, { cron: '* * * * * *' });
    const rows = await database.until<{ tick: Date; count: number }>(
      `WITH successes AS (${SUCCESSES}) SELECT * FROM successes
       WHERE (SELECT count(*) FROM successes) >= 10 ORDER BY tick LIMIT 10`,
    );
    expect(rows.map((row) => row.count)).toEqual(Array(10).fill(1));
    const ticks = rows.map((row) => row.tick.getTime() / 1_000);
    expect(ticks.every(Number.isInteger)).toBe(true);
    // A process that stalls for a second may miss a tick, as documented, but not every second tick.
    expect((ticks.at(-1) ?? 0) - (ticks[0] ?? 0)).toBeLessThan(20);
    const hosts = await database.query(
      `SELECT FROM materialized_views.refresh_history WHERE outcome <> 'refreshed'`,
    );
    expect(hosts).toEqual([]);
  });

  it('does every tick by timer although the only clock is ahead by more than the interval', async () => {
    await start([2_500], { cron: '* * * * * *', module: { sweepInterval: '10m' } });
    // Any three ticks in a row will do: a machine that stalls for a second may miss one.
    const [row] = await database.until<{ counts: number[] }>(
      `WITH successes AS (${SUCCESSES})
       SELECT array[a.count, b.count, c.count] AS counts
       FROM successes a
       JOIN successes b ON b.tick = a.tick + interval '1 s'
       JOIN successes c ON c.tick = a.tick + interval '2 s'`,
    );
    expect(row?.counts).toEqual([1, 1, 1]);
  });

  it('lets another replica do a tick when the one that is doing it is killed', async () => {
    await start(CLOCK_OFFSETS_MS, { cron: '0 * * * *', module: { sweepInterval: 200 } });
    const gate = await database.closeGate();
    // Makes a missed tick due, so that no other comes during the test, however slow the machine is.
    await database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
    await gate.untilReached();
    const [holder] = await database.query<{ pid: number; tick: Date }>(
      `SELECT pid, date_trunc('hour', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS tick
       FROM ${ADVISORY_LOCKS} WHERE NOT granted`,
    );
    const killed = await replicaOfBackend(database, holder?.pid ?? 0);
    await killed.kill();
    replicas = replicas.filter((replica) => replica !== killed);
    // Before PostgreSQL 14, a server notices a lost client only when it sends something.
    const [notices] = await database.query(
      `SELECT FROM pg_settings WHERE name = 'client_connection_check_interval'`,
    );
    if (notices === undefined) {
      await gate.open();
    }
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, [
      holder?.pid,
    ]);
    if (notices !== undefined) {
      await gate.untilReached();
      await gate.open();
    }
    const runs = await database.until<{ host: string }>(SUCCESS_OF_TICK, [holder?.tick]);
    const hosts = runs.map((run) => Number(run.host.split(':').pop()));
    expect(hosts).toHaveLength(1);
    expect(replicas.map((replica) => replica.pid)).toContain(hosts[0]);
    expect(replicas.map((replica) => replica.stderr).join('')).toBe('');
  });

  async function replicaOfBackend(on: TestDatabase, backendPid: number): Promise<Replica> {
    const [row] = await on.query<{ application_name: string }>(
      'SELECT application_name FROM pg_stat_activity WHERE pid = $1',
      [backendPid],
    );
    const replica = replicas.find((each) => row?.application_name === `replica ${each.pid}`);
    if (replica === undefined) {
      throw new Error(`No replica has the backend ${backendPid}`);
    }
    return replica;
  }
});
