import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SchedulerRegistry } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import { type ClaimRow, claimTicks } from '../../../lib/postgres/claim.sql.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const SCHEMA = 'materialized_views';
const STATE = `${SCHEMA}.view_state`;
const NAMES = ['a', 'b', 'c'];
const HOUR_MS = 3_600_000;

const VIEWS = NAMES.map((name) =>
  viewClass({ name, expression: 'SELECT 1 AS id', refresh: { cron: '0 * * * *' } }),
);
const Gated = viewClass({ name: 'gated', expression: 'SELECT 1 AS id WHERE public.gate()' });

let database: TestDatabase;

beforeAll(async () => {
  database = await TestDatabase.create();
  await database.createGate();
  await (await bootWith(database, { views: [...VIEWS, Gated] })).close();
});

beforeEach(() =>
  database.query(
    `UPDATE ${STATE} SET last_tick = '2020-01-01', claimed_tick = NULL, claimed_at = NULL`,
  ),
);

afterAll(() => database.drop());

const change = (set: string, view = 'a'): Promise<unknown> =>
  database.query(`UPDATE ${STATE} SET ${set} WHERE view_name = $1`, [view]);

let app: TestingModule | undefined;

afterEach(async () => {
  await app?.close();
  app = undefined;
});

const start = async (options = {}): Promise<void> => {
  app = await bootWith(database, {
    views: [...VIEWS, Gated],
    scheduling: true,
    sweepInterval: '1h',
    ...options,
  });
};
const untilDone = (names: string[]): Promise<unknown> =>
  database.until(
    `SELECT FROM ${STATE} WHERE view_name = ANY ($1) AND last_tick > '2020-01-01' HAVING count(*) = $2`,
    [names, names.length],
  );

describe('which ticks a process claims', () => {
  const tick = new Date(Date.now() - HOUR_MS);

  /** Returns the claimed views, and how many are left for other processes. */
  const claim = async (
    names: string[],
    { at = tick, most = 10 } = {},
  ): Promise<[claimed: (string | null)[], openCount: number | null | undefined]> => {
    const wanted = names.map((name) => ({ view: { schema: 'public', name }, tick: at }));
    const { rows } = await database.client.query<ClaimRow>(claimTicks(SCHEMA, wanted, most));
    const last = rows.pop();
    const claimed = rows.filter((row) => row.due_in_ms === null).map((row) => row.view_name);
    return [claimed.sort(), last?.open_count];
  };

  it('is each tick, once', async () => {
    expect(await claim(['a', 'b'])).toEqual([['a', 'b'], 0]);
    expect(await claim(['a', 'b', 'c'])).toEqual([['c'], 0]);
    expect(await claim(['a'], { at: new Date(tick.getTime() + 60_000) })).toEqual([['a'], 0]);
  });

  it('is as many as it can begin, and the rest stays', async () => {
    const [claimed, openCount] = await claim(NAMES, { most: 2 });
    expect(claimed).toHaveLength(2);
    expect(openCount).toBe(1);
  });

  it('is none that is done', async () => {
    await database.query(`UPDATE ${STATE} SET last_tick = $1 WHERE view_name = 'a'`, [tick]);
    expect(await claim(['a', 'b'])).toEqual([['b'], 0]);
    // A `last_tick` in the future is from a clock that was ahead, and is ignored.
    await change(`last_tick = clock_timestamp() + interval '1 hour'`);
    expect(await claim(['a'])).toEqual([['a'], 0]);
  });

  it('is one again that a process has claimed and not done for 10 s, or claimed in the future', async () => {
    await claim(['a', 'b']);
    await change(`claimed_at = clock_timestamp() - interval '11 s'`);
    await change(`claimed_at = clock_timestamp() + interval '1 minute'`, 'b');
    expect(await claim(['a', 'b'])).toEqual([['a', 'b'], 0]);
    expect(await claim(['a', 'b'])).toEqual([[], 0]);
  });

  it('is none whose time has not come, and it hears when that is', async () => {
    const at = new Date(Date.now() + 24 * HOUR_MS);
    const wanted = [{ view: { schema: 'public', name: 'a' }, tick: at }];
    const { rows } = await database.client.query<ClaimRow>(claimTicks(SCHEMA, wanted, 10));
    expect(rows).toMatchObject([{ view_name: 'a' }, { view_name: null, open_count: 0 }]);
    expect(Math.ceil((rows[0]?.due_in_ms ?? 0) / HOUR_MS)).toBe(24);
    expect(await database.query(`SELECT FROM ${STATE} WHERE claimed_tick IS NOT NULL`)).toEqual([]);
  });

  it('is one of a view that has no state', async () => {
    expect(await claim(['unknown'])).toEqual([['unknown'], 0]);
  });

  it('is none whose row is being written, which is left for the time after', async () => {
    const other = await database.session();
    await other.query(`BEGIN; SELECT FROM ${STATE} WHERE view_name = 'a' FOR UPDATE`);
    expect(await claim(['a', 'b'])).toEqual([['b'], 1]);
    await other.end();
  });
});

describe('a tick whose timer goes off', () => {
  const fire = (name: string): void | Promise<void> | undefined =>
    app?.get(SchedulerRegistry).getCronJob(`materialized-view:public.${name}`).fireOnTick();
  it('is done with the others, however few connections there are', async () => {
    await start({ poolSize: 1 });
    NAMES.forEach((name) => void fire(name));
    await untilDone(NAMES);
  });

  it('is done when a connection is free again', async () => {
    await start({ poolSize: 1 });
    const gate = await database.closeGate();
    const running = app?.get(RefreshService).refresh(Gated);
    await gate.untilReached();
    void fire('a');
    await gate.open();
    await running;
    await untilDone(['a']);
  });

  it('is done if it goes off while another is claimed that turns out to be done', async () => {
    await start();
    await change('last_tick = clock_timestamp()');
    const other = await database.session();
    await other.query(`BEGIN; LOCK TABLE ${STATE} IN EXCLUSIVE MODE`);
    void fire('a');
    await database.until(
      `SELECT FROM pg_locks WHERE relation = '${STATE}'::regclass AND NOT granted`,
    );
    void fire('b');
    const [moment] = await database.query('SELECT clock_timestamp() AS now');
    await database.until(`SELECT WHERE clock_timestamp() > $1::timestamptz + interval '50 ms'`, [
      moment?.now,
    ]);
    await other.end();
    await untilDone(['b']);
  });

  it('is done where it cannot be claimed', async () => {
    await start();
    const [claims] = await database.query<{ name: string }>(
      `SELECT oid::regprocedure::text AS name FROM pg_proc WHERE proname LIKE 'claim\\_ticks\\_%'`,
    );
    await database.query(`ALTER FUNCTION ${claims?.name} RENAME TO away`);
    void fire('a');
    await untilDone(['a']);
  });
});

describe('a tick that a sweep finds', () => {
  it('is left to a process that has just claimed it, and done 10 s after the claim', async () => {
    await change(`claimed_tick = clock_timestamp(), claimed_at = clock_timestamp()`);
    await start({ sweepInterval: '100ms' });
    await untilDone(['b', 'c']);
    expect(
      await database.query(
        `SELECT FROM ${STATE} WHERE view_name = 'a' AND last_tick > '2020-01-01'`,
      ),
    ).toEqual([]);
    await change(`claimed_at = clock_timestamp() - interval '11 s'`);
    await untilDone(['a']);
  });
});
