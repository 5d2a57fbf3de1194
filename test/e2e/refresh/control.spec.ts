import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CronExpression } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  MaterializedViewChannels,
  RefreshCancelledError,
  RefreshService,
  UnknownViewError,
} from '../../../lib/index.js';
import { refreshLockKey, syncLockKey } from '../../../lib/postgres/advisory-lock.js';
import { bootWith } from '../../support/test-app.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const NAME = { schema: 'Analytics eu', name: 'daily "Revenue"' };

const Revenue = viewClass({
  ...NAME,
  expression: 'SELECT id FROM public.orders WHERE public.gate()',
  key: ['id'],
  refresh: { cron: CronExpression.EVERY_HOUR },
});

const Total = viewClass({
  name: 'total',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
});

const RUNS = `SELECT outcome, attempt, tick IS NOT NULL AS is_tick
  FROM materialized_views.refresh_history WHERE trigger <> 'sync' ORDER BY finished_at`;

describe('control', () => {
  let database: TestDatabase;
  const apps: TestingModule[] = [];
  let refreshes: RefreshService;

  const start = async (options: object = {}): Promise<RefreshService> => {
    const app = await bootWith(database, {
      views: [Revenue, Total],
      lockTimeout: '30s',
      sweepInterval: 20,
      ...options,
    });
    apps.push(app);
    return app.get(RefreshService);
  };
  const stop = async (): Promise<void> => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders AS SELECT 1 AS id');
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS total');
    refreshes = await start();
  });

  afterEach(stop);

  afterAll(async () => {
    await database.drop();
  });

  const runs = (): Promise<Record<string, unknown>[]> => database.query(RUNS);
  const forgetTick = (): Promise<unknown> =>
    database.query(
      `UPDATE materialized_views.view_state SET last_tick = '2020-01-01' WHERE view_name = $1`,
      [NAME.name],
    );
  /** Resolves after 20 transactions in the database, and so after several sweeps. */
  const untilSwept = async (): Promise<void> => {
    const count = `SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()`;
    const [before] = await database.query<{ xact_commit: string }>(count);
    await database.until(
      `SELECT FROM pg_stat_database WHERE datname = current_database() AND xact_commit > $1`,
      [Number(before?.xact_commit) + 20],
    );
  };

  describe('cancel', () => {
    it.each(['the same', 'another'])('ends a refresh from %s application', async (whose) => {
      const canceller = whose === 'the same' ? refreshes : await start();
      const gate = await database.closeGate();
      const running = refreshes.refresh(Revenue).catch((error: unknown) => error);
      await gate.untilReached();
      expect(await canceller.cancel(Revenue)).toBe(true);
      expect(await running).toBeInstanceOf(RefreshCancelledError);
      await gate.open();
      expect(await runs()).toEqual([{ outcome: 'cancelled', attempt: 1, is_tick: false }]);
      expect(await canceller.cancel(Revenue)).toBe(false);
      expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
      await expect(canceller.cancel('public.nothing')).rejects.toThrow(UnknownViewError);
    });

    it('lets calls that wait behind it go on', async () => {
      const others = await start();
      const gate = await database.closeGate();
      const running = refreshes.refresh(Revenue).catch((error: unknown) => error);
      await gate.untilReached();
      const waiting = [refreshes, others].map((each) => each.refresh(Revenue));
      expect(await refreshes.cancel(Revenue)).toBe(true);
      expect(await running).toBeInstanceOf(RefreshCancelledError);
      await gate.open();
      const outcomes = (await Promise.all(waiting)).map(({ outcome }) => outcome);
      expect(outcomes).toContain('refreshed');
      // A slow answer leaves it unclear whether the other refresh began after the call; then the call refreshes itself.
      expect(['joined', 'refreshed']).toContain(outcomes.sort()[0]);
    });

    it('lets one go on that waits for a connection in another process', async () => {
      const others = await start({ poolSize: 1 });
      const gate = await database.closeGate();
      const running = refreshes.refresh(Revenue).catch((error: unknown) => error);
      await gate.untilReached();
      const blocker = await database.session();
      // `Total` is refreshed in blocking mode, which waits for readers.
      await blocker.query('BEGIN; SELECT FROM total');
      const holdsConnection = others.refresh(Total);
      await database.until(
        `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
         WHERE d.datname = current_database() AND l.locktype = 'relation' AND NOT l.granted`,
      );
      const waiting = others.refresh(Revenue);
      expect(await others.cancel(Revenue)).toBe(true);
      expect(await running).toBeInstanceOf(RefreshCancelledError);
      await gate.open();
      await blocker.end();
      expect(await holdsConnection).toMatchObject({ outcome: 'refreshed' });
      expect(await waiting).toMatchObject({ outcome: 'refreshed' });
    });

    it('ends a tick for all processes: no sweep tries it again', async () => {
      const gate = await database.closeGate();
      const scheduled = await start({ scheduling: true });
      await forgetTick();
      await gate.untilReached();
      expect(await refreshes.cancel(Revenue)).toBe(true);
      await database.until(`${RUNS} LIMIT 1`);
      await gate.open();
      await untilSwept();
      expect(await runs()).toEqual([{ outcome: 'cancelled', attempt: 1, is_tick: true }]);
      expect(await scheduled.status(Revenue)).toMatchObject({ failureCount: 0 });
    });

    it('ends a refresh that waits for its next attempt', async () => {
      await stop();
      refreshes = await start({ lockTimeout: 20 });
      const reader = await database.session();
      await reader.query('BEGIN; SELECT * FROM total');
      let cancelled: Promise<boolean> | undefined;
      const onFailure = (): void => void (cancelled ??= refreshes.cancel(Total));
      subscribe(`tracing:${MaterializedViewChannels.refresh}:error`, onFailure);
      try {
        await expect(refreshes.refresh(Total)).rejects.toThrow(RefreshCancelledError);
      } finally {
        unsubscribe(`tracing:${MaterializedViewChannels.refresh}:error`, onFailure);
        await reader.end();
      }
      expect(await cancelled).toBe(true);
      expect(await runs()).toEqual([
        { outcome: 'failed', attempt: 1, is_tick: false },
        { outcome: 'cancelled', attempt: 2, is_tick: false },
      ]);
    });

    it('leaves alone a schema change that holds the lock', async () => {
      const other = await database.session();
      await other.query('BEGIN');
      for (const key of [syncLockKey(), refreshLockKey(NAME)]) {
        await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);
      }
      expect(await refreshes.cancel(Revenue)).toBe(false);
      expect(await refreshes.running()).toEqual([]);
      await other.end();
    });

    it('leaves alone a refresh with the same name in another database', async () => {
      const elsewhere = await TestDatabase.create();
      try {
        const other = elsewhere.client;
        await other.query('BEGIN; CREATE MATERIALIZED VIEW revenue AS SELECT 1 AS id');
        await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [refreshLockKey(NAME)]);
        await other.query('REFRESH MATERIALIZED VIEW revenue');
        expect(await refreshes.running()).toEqual([]);
        expect(await refreshes.cancel(Revenue)).toBe(false);
      } finally {
        await elsewhere.drop();
      }
    });
  });

  describe('pause', () => {
    it('stops ticks everywhere, across restarts, until one refresh after resume makes up for them', async () => {
      await (await start({ scheduling: true })).pause(Revenue);
      await start({ scheduling: true });
      await forgetTick();
      await untilSwept();
      expect(await runs()).toEqual([]);

      await stop();
      refreshes = await start({ scheduling: true });
      await untilSwept();
      expect(await runs()).toEqual([]);
      const status = await refreshes.status(Revenue);
      expect(status).toMatchObject({ isPaused: true, pausedAt: expect.any(Date) });

      await refreshes.resume(Revenue);
      await database.until(RUNS);
      await untilSwept();
      expect(await runs()).toEqual([{ outcome: 'refreshed', attempt: 1, is_tick: true }]);
    });

    it('does not stop refreshes on demand, unless they ask for that', async () => {
      await refreshes.pause(Revenue);
      expect(await refreshes.refresh(Revenue)).toMatchObject({ outcome: 'refreshed' });
      expect(await refreshes.refresh(Revenue, { onPaused: 'skip' })).toMatchObject({
        outcome: 'skipped',
        reason: 'paused',
      });
      const together = [
        refreshes.refresh(Revenue, { onPaused: 'skip' }),
        refreshes.refresh(Revenue),
      ];
      expect(await Promise.all(together)).toMatchObject([
        { outcome: 'skipped' },
        { outcome: 'refreshed' },
      ]);
      expect(await refreshes.refresh(Total, { onPaused: 'skip' })).toMatchObject({
        outcome: 'refreshed',
      });
      await refreshes.resume(Revenue);
      expect(await refreshes.refresh(Revenue, { onPaused: 'skip' })).toMatchObject({
        outcome: 'refreshed',
      });
    });

    it('has no effect the second time, and keeps its time', async () => {
      await refreshes.pause(Revenue);
      const first = await refreshes.status(Revenue);
      await refreshes.pause(Revenue);
      expect((await refreshes.status(Revenue)).pausedAt).toEqual(first.pausedAt);
      await refreshes.resume(Revenue);
      await refreshes.resume(Revenue);
      expect(await refreshes.status(Revenue)).toMatchObject({ isPaused: false });
      await expect(refreshes.pause('public.nothing')).rejects.toThrow(UnknownViewError);
    });
  });

  it('lists what is running, in any application', async () => {
    const others = await start();
    expect(await others.running()).toEqual([]);
    const gate = await database.closeGate();
    const running = refreshes.refresh(Revenue);
    await gate.untilReached();
    const [holder] = await database.query<{ pid: number }>(
      `SELECT pid FROM ${ADVISORY_LOCKS} WHERE NOT granted`,
    );
    for (const each of [refreshes, others]) {
      expect(await each.running()).toEqual([
        {
          view: 'Analytics eu.daily "Revenue"',
          dataSource: 'default',
          backendPid: holder?.pid,
          applicationName: expect.any(String),
          role: 'postgres',
          isForeign: false,
          isOverdue: false,
          startedAt: expect.any(Date),
        },
      ]);
    }
    await gate.open();
    await running;
    expect(await others.running()).toEqual([]);
  });
});
