import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Replica } from '../support/replica-process.js';
import { assertInvariants } from './support/invariants.js';
import type { Answer } from './support/ledger-replica.js';
import { EVERY_SECOND, HOURLY, Ledger, QUOTED_VIEW } from './support/ledger.js';

/** The exit of a process that handles SIGTERM: Nest sends the signal again after its shutdown hooks. */
const ENDED = 'SIGTERM';

describe('a process', () => {
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await Ledger.create();
  });

  afterEach(async () => {
    await ledger.drop();
  });

  const standStill = async (replica: Replica): Promise<Pick<Answer, 'from' | 'to'>> => {
    const from = new Date().toISOString();
    replica.signal('SIGSTOP');
    await ledger.letPass(5_000);
    const to = new Date().toISOString();
    replica.signal('SIGCONT');
    return { from, to };
  };

  const outcomes = async (trigger: string): Promise<unknown[]> =>
    (
      await ledger.database.query<{ outcome: string }>(
        `SELECT outcome FROM materialized_views.refresh_history WHERE trigger = $1`,
        [trigger],
      )
    ).map((run) => run.outcome);

  it('8: is asked to stop, and lets a refresh finish that ends in time', async () => {
    const [stopping, other] = await Promise.all([
      ledger.start({ module: { shutdownTimeout: '60s' } }),
      ledger.start(),
    ]);
    const gate = await ledger.closeGate();
    void stopping.ask({ do: 'refresh' }).catch(() => undefined);
    await gate.untilReached();
    const ended = stopping.stop();
    await stopping.until('stopping');
    await gate.open();
    expect(await ended).toBe(ENDED);
    expect(await outcomes('demand')).toEqual(['refreshed']);
    ledger.forget(stopping);
    await assertInvariants(ledger, { by: other });
  });

  it('9: is asked to stop, and cancels a refresh that does not finish in time', async () => {
    const [stopping, other] = await Promise.all([
      ledger.start({ module: { shutdownTimeout: 200 } }),
      ledger.start(),
    ]);
    const gate = await ledger.closeGate();
    void stopping.ask({ do: 'refresh' }).catch(() => undefined);
    await gate.untilReached();
    expect(await stopping.stop()).toBe(ENDED);
    expect(await outcomes('demand')).toEqual(['cancelled']);
    await gate.open();
    ledger.forget(stopping);
    await assertInvariants(ledger, { by: other });
  });

  it('10: is asked to stop twice while it refreshes', async () => {
    const [stopping, other] = await Promise.all([
      ledger.start({ module: { shutdownTimeout: '60s' } }),
      ledger.start(),
    ]);
    const gate = await ledger.closeGate();
    void stopping.ask({ do: 'refresh' }).catch(() => undefined);
    await gate.untilReached();
    const ended = stopping.stop();
    await stopping.until('stopping');
    stopping.signal('SIGTERM');
    await gate.open();
    expect(await ended).toBe(ENDED);
    expect(await outcomes('demand')).toEqual(['refreshed']);
    ledger.forget(stopping);
    await assertInvariants(ledger, { by: other });
  });

  it('10: is asked to stop while it creates views, and leaves nothing half done', async () => {
    const gate = await ledger.closeGate();
    const stopping = ledger.launch();
    await gate.untilReached();
    const ended = stopping.stop();
    await stopping.until('stopping');
    stopping.signal('SIGTERM');
    expect(await ended).toBe(ENDED);
    await gate.open();
    // Before PostgreSQL 14, the server notices that a client is gone only when it sends something.
    await ledger.database.until(
      `SELECT WHERE (SELECT count(*) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'replica ${stopping.pid}') = 0`,
    );
    expect(await ledger.database.query(`SELECT relname FROM pg_class WHERE relkind = 'm'`)).toEqual(
      [],
    );
    ledger.forget(stopping);
    await assertInvariants(ledger, { by: await ledger.start() });
  });

  it('12: stalls for five ticks during a refresh', async () => {
    await Promise.all([ledger.start({ cron: EVERY_SECOND }), ledger.start({ cron: EVERY_SECOND })]);
    const gate = await ledger.closeGate();
    await gate.untilReached();
    const [row] = await ledger.database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'REFRESH%'`,
    );
    const stopped = await ledger.replicaOf(row?.pid ?? 0);
    stopped.signal('SIGSTOP');
    await gate.open();
    await ledger.letPass(5_000);
    stopped.signal('SIGCONT');
    await assertInvariants(ledger);
  });

  it.each([
    ['12', 'stands still for five ticks'],
    ['13', 'is blocked for five ticks by its own code'],
  ])('%s: %s, and makes up for at most one of them', async (fault) => {
    const replica = await ledger.start({ cron: EVERY_SECOND });
    await ledger.database.until(
      `SELECT FROM materialized_views.refresh_history WHERE tick IS NOT NULL`,
    );
    const { from, to } = await (fault === '12'
      ? standStill(replica)
      : replica.ask<Answer>({ do: 'block', ms: 5_000 }));
    await assertInvariants(ledger);
    // Leaves out the tick that was running when the process stalled, because it may have succeeded too.
    const made = await ledger.database.query(
      `SELECT tick FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick > $1::timestamptz + interval '1 s' AND tick <= $2`,
      [from, to],
    );
    expect(made.length).toBeLessThanOrEqual(1);
  });

  it('7: is killed during a tick, which another process does', async () => {
    await Promise.all([ledger.start({ cron: HOURLY }), ledger.start({ cron: HOURLY })]);
    const gate = await ledger.closeGate();
    const tick = await ledger.makeDue();
    await gate.untilReached();
    const [row] = await ledger.database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'REFRESH%'`,
    );
    const killed = await ledger.replicaOf(row?.pid ?? 0);
    await killed.kill();
    ledger.forget(killed);
    await gate.open();
    await ledger.untilDone(tick);
    await assertInvariants(ledger, { by: ledger.replicas[0] });
    expect(await ledger.database.query(`SELECT FROM ${QUOTED_VIEW}`)).not.toEqual([]);
  });
});
