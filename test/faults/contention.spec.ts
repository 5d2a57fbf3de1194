import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { MaterializedViewsModule, RefreshService, type ViewClass } from '../../lib/index.js';
import { boot, bootWith, typeOrm } from '../support/test-app.js';
import type { Answer } from './support/ledger-replica.js';
import { assertInvariants, demanded } from './support/invariants.js';
import { HOURLY, Ledger, QUOTED_VIEW } from './support/ledger.js';

const REQUEST_COUNT = 1_000;

describe('contention', () => {
  let ledger: Ledger;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    ledger = await Ledger.create();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await ledger.drop();
  });

  const bootApp = async (
    view: ViewClass,
    options: { lockTimeout?: number } = {},
  ): Promise<RefreshService> => {
    app = await bootWith(ledger.database, { views: [view], ...options });
    return app.get(RefreshService);
  };

  const demandRuns = async (): Promise<number> => {
    const rows = await ledger.database.query(
      `SELECT FROM materialized_views.refresh_history
       WHERE trigger = 'demand' AND outcome = 'refreshed'`,
    );
    return rows.length;
  };

  it('21: a reader delays a blocking refresh, which lets the readers behind it through', async () => {
    const view = ledger.view({ key: [] });
    const refreshes = await bootApp(view, { lockTimeout: 1_000 });
    const [reader, second] = await Promise.all([
      ledger.database.session(),
      ledger.database.session(),
    ]);
    await reader.query(`BEGIN; SELECT FROM ${QUOTED_VIEW}`);
    const outcome = refreshes.refresh(view).catch((error: unknown) => error);
    await ledger.database.until(
      `SELECT FROM pg_locks WHERE relation = $1::regclass AND NOT granted`,
      [QUOTED_VIEW],
    );
    // Resolves although the first reader's transaction is still open.
    await second.query(`SELECT FROM ${QUOTED_VIEW}`);
    expect(await outcome).toMatchObject({ code: 'MV_REFRESH_LOCKED', isTransient: true });
    await Promise.all([reader.end(), second.end()]);
    await assertInvariants(ledger, { refresh: demanded(refreshes, view) });
  });

  it('21: a reader does not delay a concurrent refresh', async () => {
    const view = ledger.view();
    const refreshes = await bootApp(view);
    const reader = await ledger.database.session();
    await reader.query(`BEGIN; SELECT FROM ${QUOTED_VIEW}`);
    await assertInvariants(ledger, { refresh: demanded(refreshes, view) });
    await reader.end();
  });

  it('22: two processes get requests while another one refreshes, and both share one run', async () => {
    const [busy, ...others] = await Promise.all([ledger.start(), ledger.start(), ledger.start()]);
    const gate = await ledger.closeGate();
    const running = busy.ask<Answer>({ do: 'refresh' });
    await gate.untilReached();
    const [now] = await ledger.database.query('SELECT clock_timestamp() AS at');
    const asked = others.map((replica) => replica.ask<Answer>({ do: 'refresh' }));
    for (const { pid } of others) {
      // The ROLLBACK means that it found the lock taken.
      await ledger.database.until(
        `SELECT FROM pg_stat_activity
         WHERE application_name = 'replica ${pid}' AND query = 'ROLLBACK' AND state_change > $1`,
        [now?.at],
      );
    }
    await gate.open();
    const [before, first, second] = await Promise.all([running, ...asked]);
    expect([first?.outcome, second?.outcome].sort()).toEqual(['joined', 'refreshed']);
    expect(second?.runId).toBe(first?.runId);
    expect(before.runId).not.toBe(first?.runId);
    expect(await demandRuns()).toBe(2);
    await assertInvariants(ledger, { by: busy });
  });

  it(`44: ${REQUEST_COUNT} requests while another process refreshes share one refresh`, async () => {
    const view = ledger.view();
    const refreshes = await bootApp(view);
    const replica = await ledger.start();
    const gate = await ledger.closeGate();
    const other = replica.ask<{ outcome: string }>({ do: 'refresh' });
    await gate.untilReached();
    const results = Array.from({ length: REQUEST_COUNT }, () => refreshes.refresh(view));
    await gate.open();
    const outcomes = (await Promise.all(results)).map(({ outcome }) => outcome);
    expect(outcomes.sort()).toEqual([
      ...Array<string>(REQUEST_COUNT - 1).fill('joined'),
      'refreshed',
    ]);
    expect(await other).toMatchObject({ outcome: 'refreshed' });
    expect(await demandRuns()).toBe(2);
    await assertInvariants(ledger, { refresh: demanded(refreshes, view) });
  });

  it.each([1, 2])(
    "29: the application uses up its own pool of %i, but not the library's",
    async (poolSize) => {
      const view = ledger.view();
      app = await boot(
        typeOrm(ledger.database, { poolSize, autoLoadEntities: false, entities: [view] }),
        ScheduleModule.forRoot(),
        MaterializedViewsModule.forRoot({ views: [view], scheduling: false, poolSize: 1 }),
      );
      const dataSource = app.get(DataSource);
      const held = Array.from({ length: poolSize }, () => dataSource.createQueryRunner());
      await Promise.all(held.map((runner) => runner.connect()));
      const refreshes = app.get(RefreshService);
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, () => refreshes.refresh(view).then(({ outcome }) => outcome)),
      );
      expect(outcomes).toContain('refreshed');
      await assertInvariants(ledger, { refresh: demanded(refreshes, view) });
      await Promise.all(held.map((runner) => runner.release()));
    },
  );

  it('37: a deadlock is resolved by cancelling a tick, which is done after it', async () => {
    // The replica must be the one that detects the deadlock: the other session waits 60 s before it checks.
    await ledger.database.query(
      `ALTER DATABASE ${ledger.database.name} SET deadlock_timeout = '2s'`,
    );
    const replica = await ledger.start({ cron: HOURLY });
    const other = await ledger.database.session();
    await other.query(`SET deadlock_timeout = '60s'`);
    await other.query('BEGIN; LOCK TABLE public.entries IN ACCESS EXCLUSIVE MODE');
    const tick = await ledger.makeDue();
    await ledger.database.until(
      `SELECT FROM pg_locks WHERE relation = 'public.entries'::regclass AND NOT granted`,
    );
    await other.query(`REFRESH MATERIALIZED VIEW ${QUOTED_VIEW}`);
    await other.query('ROLLBACK');
    await ledger.untilDone(tick);
    const [first, ...more] = await ledger.runsOf(tick);
    expect(first).toEqual({ outcome: 'failed', error_code: '40P01', attempt: 1 });
    expect(more.at(-1)).toMatchObject({ outcome: 'refreshed', error_code: null });
    await other.end();
    await assertInvariants(ledger, { by: replica });
  });
});
