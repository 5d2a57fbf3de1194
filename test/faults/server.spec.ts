import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { setTimeout as pause } from 'node:timers/promises';
import { MaterializedViewError, type RefreshResult, RefreshService } from '../../lib/index.js';
import { FaultServer } from '../support/fault-server.js';
import { bootWith } from '../support/test-app.js';
import { assertConsistent, assertInvariants, demanded } from './support/invariants.js';
import { HOURLY, Ledger } from './support/ledger.js';

describe('the server', () => {
  let server: FaultServer;
  let ledger: Ledger;

  beforeAll(async () => {
    server = await FaultServer.start();
  });

  beforeEach(async () => {
    ledger = await Ledger.create(server.url);
  });

  afterEach(async () => {
    await ledger.drop();
  });

  afterAll(async () => {
    await server.stop();
  });

  it.each([
    ['4', 'fast'],
    ['5', 'immediate'],
  ] as const)('%s: restarts (%s) during a tick, which is done afterwards', async (_, mode) => {
    const [first] = await Promise.all([
      ledger.start({ cron: HOURLY }),
      ledger.start({ cron: HOURLY }),
    ]);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    await server.restart(mode);
    await ledger.database.reconnect();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: first });
  });

  it('5: loses nothing in a crash, and the caller learns the outcome', async () => {
    const view = ledger.view();
    const app = await bootWith(ledger.database, { views: [view] });
    const refreshes = app.get(RefreshService);
    await ledger.transfer();
    expect(await refreshes.refresh(view)).toMatchObject({ outcome: 'refreshed' });
    await ledger.transfer();
    const gate = await ledger.closeGate();
    const outcome = refreshes.refresh(view).catch((error: unknown) => error);
    await gate.untilReached();
    await server.restart('immediate');
    // MV_CONNECTION_FAILED if all attempts failed before the server was back.
    expect([{ outcome: 'refreshed' }, { code: 'MV_CONNECTION_FAILED' }]).toContainEqual(
      partOf(await outcome),
    );
    await ledger.database.reconnect();
    await assertConsistent(ledger);
    await assertInvariants(ledger, { refresh: demanded(refreshes, view) });
    await app.close();
  });

  it('6: is down for more than three ticks, and at most one is made up for', async () => {
    await Promise.all([
      ledger.start({ cron: '*/2 * * * * *' }),
      ledger.start({ cron: '*/2 * * * * *' }),
    ]);
    await ledger.database.until(
      `SELECT FROM materialized_views.refresh_history WHERE tick IS NOT NULL`,
    );
    await server.down('fast');
    const downAt = new Date();
    // `letPass` needs a running server.
    await pause(7_000);
    const upAt = new Date();
    await server.up();
    await ledger.database.reconnect();
    await assertInvariants(ledger);
    const made = await ledger.database.query(
      `SELECT tick FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick BETWEEN $1 AND $2`,
      [downAt, upAt],
    );
    expect(made.length).toBeLessThanOrEqual(1);
  });
});

function partOf(outcome: unknown): Record<string, unknown> {
  return outcome instanceof MaterializedViewError
    ? { code: outcome.code }
    : { outcome: (outcome as RefreshResult).outcome };
}
