import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { PgBouncer } from '../support/pgbouncer.js';
import { assertInvariants } from './support/invariants.js';
import { EVERY_SECOND, HOURLY, Ledger } from './support/ledger.js';

/** Settings that the library changes in its transactions. They must not stay on a shared connection. */
const SETTINGS = [
  'lock_timeout',
  'statement_timeout',
  'idle_in_transaction_session_timeout',
  'search_path',
  'transaction_isolation',
  'transaction_read_only',
  'default_transaction_isolation',
];

describe('PgBouncer in transaction mode', () => {
  let ledger: Ledger;
  let pgBouncer: PgBouncer;

  beforeEach(async () => {
    ledger = await Ledger.create();
    pgBouncer = await PgBouncer.before(ledger.database.directUrl, { poolSize: 3 });
  });

  afterEach(async () => {
    await ledger.drop();
    await pgBouncer.stop();
  });

  const start = (cron: string): ReturnType<Ledger['start']> =>
    ledger.start({ cron, url: pgBouncer.urlOf(ledger.database.directUrl) });

  const settings = async (url: string): Promise<Record<string, unknown>[]> => {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      const { rows } = await client.query<Record<string, unknown>>(
        `SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name`,
        [SETTINGS],
      );
      return rows;
    } finally {
      await client.end();
    }
  };

  it('18: shows its other clients none of our settings', async () => {
    const usual = await settings(ledger.database.directUrl);
    const replica = await start(EVERY_SECOND);
    await assertInvariants(ledger, { by: replica });
    await ledger.killAll();
    const url = pgBouncer.urlOf(ledger.database.directUrl);
    for (const leftBehind of await Promise.all([1, 2, 3].map(() => settings(url)))) {
      expect(leftBehind).toEqual(usual);
    }
  });

  it('18: is shared by replicas that do each tick once', async () => {
    await Promise.all([1, 2, 3].map(() => start(EVERY_SECOND)));
    await ledger.database.until(
      `SELECT FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick IS NOT NULL HAVING count(*) >= 3`,
    );
    await assertInvariants(ledger);
  });

  it('19: is killed during a tick, which is done when it is back', async () => {
    const [first] = await Promise.all([start(HOURLY), start(HOURLY)]);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    await pgBouncer.kill();
    await gate.open();
    await pgBouncer.start();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: first });
  });

  it('19: is paused for three ticks and resumed', async () => {
    await Promise.all([start(EVERY_SECOND), start(EVERY_SECOND)]);
    await pgBouncer.command('PAUSE');
    await ledger.letPass(3_000);
    await pgBouncer.command('RESUME');
    await assertInvariants(ledger);
  });

  it('19: is paused during a refresh, and waits for its end', async () => {
    const replica = await start(HOURLY);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    const paused = pgBouncer.command('PAUSE');
    await gate.open();
    await paused;
    await ledger.untilDone(tick);
    await pgBouncer.command('RESUME');
    await assertInvariants(ledger, { by: replica });
    expect(await ledger.runsOf(tick)).toEqual([
      { outcome: 'refreshed', error_code: null, attempt: 1 },
    ]);
  });
});
