import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultServer } from '../support/fault-server.js';
import { assertInvariants } from './support/invariants.js';
import { AT_GATE, HOURLY, Ledger } from './support/ledger.js';

describe('a backend during a refresh', () => {
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

  it('1: is terminated: the tick is tried again, and done once', async () => {
    const [first] = await Promise.all([
      ledger.start({ cron: HOURLY }),
      ledger.start({ cron: HOURLY }),
    ]);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    await ledger.database.query(`SELECT pg_terminate_backend(${AT_GATE})`);
    await ledger.database.until(
      `SELECT FROM materialized_views.refresh_history WHERE outcome = 'failed'`,
    );
    await gate.open();
    await ledger.untilDone(tick);
    expect(await ledger.runsOf(tick)).toEqual([
      { outcome: 'failed', error_code: '57P01', attempt: 1 },
      { outcome: 'refreshed', error_code: null, attempt: expect.any(Number) },
    ]);
    await assertInvariants(ledger, { by: first });
  });

  it.each([
    ['is cancelled', 'cancelled', {}],
    ['takes longer than statementTimeout', 'timeout', { statementTimeout: '500ms' }],
  ])('2: %s: the tick is given up, and a later one is done', async (_, outcome, module) => {
    await ledger.start({ cron: '*/3 * * * * *', module });
    const gate = await ledger.closeGate();
    await gate.untilReached();
    if (outcome === 'cancelled') {
      await ledger.database.query(`SELECT pg_cancel_backend(${AT_GATE})`);
    }
    const [run] = await ledger.database.until<{ tick: Date }>(
      `SELECT tick FROM materialized_views.refresh_history WHERE outcome = $1`,
      [outcome],
    );
    await gate.untilReached();
    await gate.open();
    await assertInvariants(ledger);
    expect(await ledger.runsOf(run?.tick ?? new Date(0))).toEqual([
      { outcome, error_code: '57014', attempt: 1 },
    ]);
  });

  it('3: is killed, and all sessions with it: the tick is done when the server is back', async () => {
    const [first] = await Promise.all([
      ledger.start({ cron: HOURLY }),
      ledger.start({ cron: HOURLY }),
    ]);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    const [holder] = await ledger.database.query<{ pid: number }>(`SELECT ${AT_GATE} AS pid`);
    process.kill(holder?.pid ?? 0, 'SIGKILL');
    await ledger.database.reconnect();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: first });
  });
});
