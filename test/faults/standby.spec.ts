import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FaultServer } from '../support/fault-server.js';
import { assertInvariants } from './support/invariants.js';
import { HOURLY, Ledger } from './support/ledger.js';

describe('a failover', () => {
  let server: FaultServer;
  let ledger: Ledger;

  beforeEach(async () => {
    server = await FaultServer.start();
    ledger = await Ledger.create(server.url);
  });

  afterEach(async () => {
    await ledger.drop();
    await server.stop();
  });

  it('35: leaves a standby, which the error names, and a primary again after its promotion', async () => {
    const replica = await ledger.start({ cron: HOURLY });
    await ledger.makeDue().then((tick) => ledger.untilDone(tick));
    await server.becomeStandby();
    await ledger.database.reconnect();
    let answer = await replica.ask({ do: 'refresh' });
    while ((answer as { code?: string }).code === 'MV_CONNECTION_FAILED') {
      answer = await replica.ask({ do: 'refresh' });
    }
    expect(answer).toMatchObject({ outcome: 'failed', code: 'MV_NOT_PRIMARY' });
    await server.promote();
    await ledger.database.until(`SELECT WHERE NOT pg_is_in_recovery()`);
    await assertInvariants(ledger, { by: replica });
  });
});
