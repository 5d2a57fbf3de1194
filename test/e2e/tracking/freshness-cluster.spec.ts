import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { hostname } from 'node:os';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { isStale } from '../../support/change-detector.js';
import { ORDERS } from '../../support/order-writer.js';
import { Replica, type ReplicaOptions } from '../../support/replica-process.js';
import { TestDatabase } from '../../support/test-database.js';
import { PACE, TOTALS } from '../../support/totals-view.js';

const HISTORY = 'materialized_views.refresh_history';

describe('a view with `on`, in several processes', () => {
  let database: TestDatabase;
  const replicas: Replica[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(PACE);
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Odd schema" CASCADE; DROP TABLE IF EXISTS orders; ${ORDERS}`,
    );
  });

  afterEach(async () => {
    await Promise.all(replicas.splice(0).map((replica) => replica.kill()));
  });

  afterAll(() => database.drop());

  async function start(options: ReplicaOptions = {}): Promise<Replica> {
    const replica = Replica.start(database.url, options, 'test/support/refresher.ts');
    replicas.push(replica);
    await replica.until('booted');
    return replica;
  }

  /** Without the lease table, each process polls as if it held the lease. */
  const haveAllLook = (): Promise<unknown> => database.query('DROP TABLE materialized_views.lease');

  async function kill(...killed: Replica[]): Promise<void> {
    for (const replica of killed) {
      replicas.splice(replicas.indexOf(replica), 1);
      await replica.kill();
    }
  }

  /** Resolves after the view's first refresh: until then, nothing is known about its changes. */
  async function untilWatched(): Promise<void> {
    await database.until(
      `SELECT FROM materialized_views.view_state
       WHERE source_signature IS NOT NULL AND last_success_at IS NOT NULL`,
    );
    await untilAllLooked();
    await database.query(`DELETE FROM ${HISTORY}`);
  }

  /** Resolves when each process has polled anew. */
  async function untilAllLooked(): Promise<void> {
    const [now] = await database.query('SELECT clock_timestamp() AS at');
    const waiting = new Set(replicas.map(({ pid }) => `replica ${pid}`));
    while (waiting.size > 0) {
      const looked = await database.until<{ name: string }>(
        `SELECT application_name AS name FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = ANY ($1) AND state_change > $2`,
        [[...waiting], now?.at],
      );
      looked.forEach(({ name }) => waiting.delete(name));
    }
  }

  const write = (): Promise<unknown> => database.query('INSERT INTO orders VALUES (1, 1)');

  const untilShown = (count: number): Promise<unknown> =>
    database.until(`SELECT FROM "Odd schema"."totals ""by"" key" WHERE k = 1 AND count = $1`, [
      count,
    ]);

  const refreshes = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT trigger, host FROM ${HISTORY} WHERE outcome = 'refreshed' ORDER BY started_at`,
    );

  const runOf = ({ pid }: Replica): Record<string, unknown> => ({
    trigger: 'write',
    host: `${hostname()}:${pid}`,
  });

  it('is refreshed exactly once for each of several writes', async () => {
    await Promise.all([start(), start(), start()]);
    await haveAllLook();
    await untilWatched();
    let count = 0;
    for (const isDueForAll of [false, true, true, false, true]) {
      const gate = isDueForAll ? await database.closeGate() : undefined;
      await write();
      if (gate !== undefined) {
        // The other processes find the view due, too, before the refresh is done.
        await gate.untilReached();
        await untilAllLooked();
        await gate.open();
      }
      await untilShown(++count);
      await untilAllLooked();
      expect(await refreshes()).toHaveLength(count);
    }
    await untilAllLooked();
    await untilAllLooked();
    expect(await refreshes()).toHaveLength(count);
  }, 120_000);

  it('is refreshed by the next process for what was written while none ran', async () => {
    const before = await start();
    await untilWatched();
    await kill(before);
    await write();
    expect(await isStale(database.client, TOTALS)).toBe(true);
    const after = await start();
    await untilShown(1);
    expect(await refreshes()).toEqual([runOf(after)]);
  });

  it('is refreshed by another process when the one that should do it is killed before', async () => {
    const [one, other] = await Promise.all([start(), start()]);
    await haveAllLook();
    await untilWatched();
    const holder = await database.session();
    await holder.query('SELECT pg_advisory_lock($1)', [refreshLockKey(TOTALS)]);
    await write();
    await untilAllLooked();
    await kill(one);
    expect(await refreshes()).toEqual([]);
    await holder.end();
    await untilShown(1);
    expect(await refreshes()).toEqual([runOf(other)]);
  });

  it('is refreshed by another process when one is killed during the refresh', async () => {
    const killed = await start();
    await untilWatched();
    const gate = await database.closeGate();
    await write();
    await gate.untilReached();
    await kill(killed);
    // The server may notice the lost client only after the refresh, when it writes to the connection.
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1`,
      [`replica ${killed.pid}`],
    );
    const other = await start();
    await gate.open();
    await untilShown(1);
    expect(await refreshes()).toEqual([runOf(other)]);
    expect(await isStale(database.client, TOTALS)).toBe(false);
  });

  it('is refreshed by a process that nothing else keeps alive, until it is asked to stop', async () => {
    const worker = await start({ isIdle: true });
    const watching = (async () => {
      await untilWatched();
      await write();
      await untilShown(1);
    })();
    // `until` rejects if the process ends by itself.
    await Promise.race([watching, worker.until('nothing that it says')]);
    replicas.splice(0);
    expect(await worker.stop()).toBe(0);
  });
});
