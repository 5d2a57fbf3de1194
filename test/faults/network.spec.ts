import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type RefreshResult, RefreshService } from '../../lib/index.js';
import { Network } from '../support/network.js';
import { bootWith } from '../support/test-app.js';
import { assertInvariants } from './support/invariants.js';
import type { Answer } from './support/ledger-replica.js';
import { HOURLY, Ledger } from './support/ledger.js';

/** How many ticks must succeed on the bad network. */
const TICK_COUNT = Number(process.env.FAULT_TICKS ?? 5);

describe('the network', () => {
  let ledger: Ledger;
  let network: Network;

  beforeEach(async () => {
    ledger = await Ledger.create();
    network = await Network.to(ledger.database.url);
  });

  afterEach(async () => {
    await ledger.drop();
    await network.stop();
  });

  it('14: is cut during a tick, which is done when the network is back', async () => {
    const replica = await ledger.start({ cron: HOURLY, url: network.url });
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    network.cut();
    await gate.open();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: replica });
  });

  it('14: is cut at the answer to COMMIT, and the tick is not done again', async () => {
    const replica = await ledger.start({ cron: HOURLY, url: network.url });
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    network.cutAtCommit();
    await gate.open();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: replica });
    expect(await ledger.runsOf(tick)).toEqual([
      { outcome: 'refreshed', error_code: null, attempt: 1 },
    ]);
  });

  it('14: drops everything for a while, and nothing hangs for ever', async () => {
    const replica = await ledger.start({
      cron: HOURLY,
      url: network.url,
      module: { statementTimeout: '1s', lockTimeout: '1s' },
    });
    const tick = await ledger.makeDue();
    network.goSilent({ except: 0, newOnesToo: true });
    const asked = replica.ask<{ outcome: string }>({ do: 'refresh' });
    expect(['failed', 'skipped']).toContain((await asked).outcome);
    network.recover();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: replica });
  });

  it('14: is so bad that an aborted call cannot be cancelled, and no process ends because of that', async () => {
    const replica = await ledger.start({ url: network.url });
    const gate = await ledger.closeGate();
    const asked = replica.ask<Answer>({ do: 'refresh' });
    await gate.untilReached();
    network.degrade({ delayMs: 0, resetProbability: 1 });
    await replica.ask({ do: 'giveUp' });
    expect(await asked).toMatchObject({ code: 'MV_REFRESH_CANCELLED' });
    const other = await ledger.start();
    await gate.open();
    await assertInvariants(ledger, { by: other });
  });

  it(`17: answers 500 ms late and resets one answer in twenty, for ${TICK_COUNT} ticks`, async () => {
    await Promise.all(
      [0, 1, 2].map(() => ledger.start({ cron: '*/3 * * * * *', url: network.url })),
    );
    network.degrade({ delayMs: 500, resetProbability: 0.05 });
    await ledger.database.until(
      `SELECT FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick IS NOT NULL HAVING count(*) >= ${TICK_COUNT}`,
    );
    network.recover();
    await assertInvariants(ledger);
  });

  it('17: resets connections during refreshes on demand, and the callers get an error', async () => {
    const view = ledger.view();
    const app = await bootWith({ ...ledger.database, url: network.url } as never, {
      views: [view],
    });
    const refreshes = app.get(RefreshService);
    network.degrade({ delayMs: 0, resetProbability: 0.05 });
    for (let call = 0; call < 50; call++) {
      const outcome = await refreshes.refresh(view).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect(outcome).toMatchObject({ code: 'MV_CONNECTION_FAILED', isTransient: true });
      } else {
        // `joined` if it could not tell at once how its own attempt had ended.
        expect(['refreshed', 'joined']).toContain((outcome as RefreshResult).outcome);
      }
    }
    network.recover();
    await assertInvariants(ledger, {
      refresh: async () => (await refreshes.refresh(view)).outcome,
    });
    await app.close();
  });
});
