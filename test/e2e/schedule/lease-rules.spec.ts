import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from 'pg';
import {
  askLease,
  type LeaseQuestion,
  type LeaseRow,
  releaseLeases,
} from '../../../lib/postgres/lease.sql.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const SCHEMA = 'materialized_views';
const LEASE = `${SCHEMA}.lease`;
const HOUR_MS = 3_600_000;

const One = viewClass({ name: 'one', expression: 'SELECT 1 AS id' });

// Too long to pass during a test.
const QUESTION = {
  name: 'work',
  askerAgeMs: HOUR_MS,
  restMs: 0,
  heldMs: HOUR_MS,
  slotMs: HOUR_MS,
  longestTurnMs: 10 * HOUR_MS,
};

describe('who is given the lease', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await (await bootWith(database, { views: [One] })).close();
  });

  beforeEach(() => database.query(`DELETE FROM ${LEASE}`));

  afterAll(() => database.drop());

  const ask = async (
    asker: string,
    question: Partial<LeaseQuestion> = {},
    client: Client = database.client,
  ): Promise<LeaseRow | undefined> => {
    const statement = askLease(SCHEMA, { ...QUESTION, asker, ...question });
    return (await client.query<LeaseRow>(statement)).rows[0];
  };
  const isHolder = async (...question: Parameters<typeof ask>): Promise<boolean | undefined> =>
    (await ask(...question))?.is_holder;
  const change = (set: string): Promise<unknown> => database.query(`UPDATE ${LEASE} SET ${set}`);

  it('is who asks first, for as long as the lease is renewed', async () => {
    expect(await ask('a')).toEqual({ is_holder: true, rest_ms: 0, turn_ms: 0 });
    expect(await isHolder('b')).toBe(false);
    expect(await isHolder('a')).toBe(true);
    await change(`renewed_at = clock_timestamp() - interval '61 minutes'`);
    expect(await isHolder('b')).toBe(true);
    expect(await isHolder('a')).toBe(false);
  });

  it('is anybody where the renewal is ahead of the clock', async () => {
    await ask('a');
    await change(`renewed_at = clock_timestamp() + interval '1 minute'`);
    expect(await isHolder('b')).toBe(true);
  });

  it('is the next one at once when the holder gives it back', async () => {
    await ask('a');
    await database.client.query(releaseLeases(SCHEMA, 'b'));
    expect(await isHolder('b')).toBe(false);
    await database.client.query(releaseLeases(SCHEMA, 'a'));
    expect(await isHolder('b')).toBe(true);
  });

  it('is nobody else while the holder has said that there is nothing to do, but for who has come since', async () => {
    await ask('a', { restMs: HOUR_MS });
    await change(`renewed_at = NULL, rested_at = rested_at - interval '10 minutes'`);
    const answer = await ask('b');
    expect(answer?.is_holder).toBe(false);
    expect(answer?.rest_ms).toBeLessThanOrEqual(50 * 60_000);
    expect(answer?.rest_ms).toBeGreaterThan(40 * 60_000);
    expect(await isHolder('new', { askerAgeMs: 60_000 })).toBe(true);
  });

  it('is anybody once that rest is over, or ahead of the clock', async () => {
    await ask('a', { restMs: HOUR_MS });
    await change(`renewed_at = NULL, rested_at = clock_timestamp() - interval '61 minutes'`);
    expect(await isHolder('b', { askerAgeMs: 10 * HOUR_MS })).toBe(true);
    await ask('b', { restMs: HOUR_MS });
    await change(`renewed_at = NULL, rested_at = clock_timestamp() + interval '1 minute'`);
    expect(await isHolder('c')).toBe(true);
  });

  it('is one for each role, since one may not refresh what another may', async () => {
    await ask('a');
    const other = await database.session();
    await other.query(`CREATE ROLE "${database.name}"`);
    try {
      await other.query(`GRANT USAGE ON SCHEMA ${SCHEMA} TO "${database.name}"`);
      await other.query(`GRANT SELECT, INSERT, UPDATE ON ${LEASE} TO "${database.name}"`);
      await other.query(`SET ROLE "${database.name}"`);
      expect(await isHolder('b', {}, other)).toBe(true);
      expect(await isHolder('a')).toBe(true);
    } finally {
      await other.query(
        `RESET ROLE; DROP OWNED BY "${database.name}"; DROP ROLE "${database.name}"`,
      );
      await other.end();
    }
  });

  it('has the others ask one after the other', async () => {
    await ask('a');
    const turns: number[] = [];
    for (const asker of ['b', 'c', 'd']) {
      turns.push((await ask(asker))?.turn_ms ?? 0);
    }
    expect(turns.map((turn) => Math.ceil(turn / HOUR_MS))).toEqual([1, 2, 3]);
    // `longestTurnMs` limits a turn. A `next_turn_at` that is too far in the future is from a wrong clock, and ignored.
    expect((await ask('e', { longestTurnMs: 2 * HOUR_MS }))?.turn_ms).toBeLessThanOrEqual(
      2 * HOUR_MS,
    );
    await change(`next_turn_at = clock_timestamp() + interval '1 year'`);
    expect(Math.ceil(((await ask('f'))?.turn_ms ?? 0) / HOUR_MS)).toBe(1);
  });

  it('forgets the leases of releases that nobody has run for a month, and no other', async () => {
    await ask('a', { name: 'old' });
    await change(`rested_at = clock_timestamp() - interval '31 days'`);
    await ask('a', { name: 'young' });
    const names = await database.query<{ name: string }>(
      `SELECT split_part(name, ' ', 1) AS name FROM ${LEASE}`,
    );
    expect(names).toEqual([{ name: 'young' }]);
    await ask('b', { name: 'other' });
    expect(await isHolder('c', { name: 'young' })).toBe(false);
  });
});
