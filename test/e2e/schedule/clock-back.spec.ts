import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import { HistoryPruner } from '../../../lib/refresh/history-pruner.js';
import { managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { oneIn, sampleOf } from '../../support/matrix.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const STATE = 'materialized_views';
const NAME = { schema: 'Sales eu', name: 'order "Total"' };
const VIEW = 'Sales eu.order "Total"';
const DEFINED = {
  ...NAME,
  expression: 'SELECT count(*)::int AS id FROM public.orders',
  key: ['id'],
};

const Plain = viewClass(DEFINED);
const Rare = viewClass({ ...DEFINED, refresh: { minInterval: '1s' } });
const Scheduled = viewClass({ ...DEFINED, refresh: { cron: '* * * * * *' } });
const Thrifty = viewClass({
  ...DEFINED,
  refresh: { cron: '* * * * * *', skipUnchanged: true },
});
const Watched = viewClass({ ...DEFINED, refresh: { on: 'sources', debounce: 0, maxWait: '1h' } });
const Debounced = viewClass({ ...DEFINED, refresh: { on: 'sources', debounce: '1s' } });
const Limited = viewClass({ ...DEFINED, refresh: { maxStaleness: '2s' } });

/** The stored times of a view, and statements that move each of them ahead of the clock. */
const shift = (column: string): string => `${column} = ${column} + $1::interval`;
const state = (...columns: string[]): string =>
  `UPDATE ${STATE}.view_state SET ${columns.map(shift).join(', ')} WHERE $1::interval IS NOT NULL`;
const STORED: Record<string, string[]> = {
  'last success': [state('last_started_at', 'last_success_at')],
  'start of the last success': [state('last_started_at')],
  'end of the last success': [state('last_success_at')],
  'last tick': [state('last_tick')],
  'last time that it was unchanged': [
    `UPDATE ${STATE}.view_state SET last_unchanged_at = clock_timestamp() + $1::interval`,
  ],
  'last failure': [
    `UPDATE ${STATE}.view_state SET failure_count = 1, last_error_code = '22012',
       last_failure_at = clock_timestamp() + $1::interval, not_before = clock_timestamp() + 2 * $1::interval`,
  ],
  'time since when it is known': [state('known_since')],
  history: [
    `UPDATE ${STATE}.refresh_history SET started_at = started_at + $1::interval, finished_at = finished_at + $1::interval`,
  ],
  'log of changes': [`UPDATE ${STATE}.change_log SET changed_at = changed_at + $1::interval`],
};
const EVERYTHING = 'everything';
STORED[EVERYTHING] = Object.values(STORED).flat();

/** A time that the clock reaches soon, and one that it does not. */
const SHIFTS = ['5 seconds', '1000 days'];

describe('a database whose clock has gone back', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let warnings: string[];

  const start = async (
    view: ReturnType<typeof viewClass>,
    options: object = {},
  ): Promise<RefreshService> => {
    app = await bootWith(database, { views: [view], sweepInterval: 50, ...options });
    managed(app).log.warn = (message: string) => void warnings.push(message);
    return app.get(RefreshService);
  };
  const stop = async (): Promise<void> => {
    await app?.close();
    app = undefined;
  };
  const write = (): Promise<unknown> => database.query('INSERT INTO orders VALUES (1)');
  const move = async (stored: string, by: string): Promise<void> => {
    for (const statement of STORED[stored] ?? []) {
      await database.query(statement, [by]);
    }
  };
  /** Resolves when the view has the rows of its query. */
  const untilCurrent = (): Promise<unknown> =>
    database.until(
      `SELECT FROM "Sales eu"."order ""Total""" v WHERE v.id = (SELECT count(*) FROM public.orders)`,
    );
  const isCurrent = async (): Promise<boolean> =>
    (
      await database.query(
        `SELECT FROM "Sales eu"."order ""Total""" v WHERE v.id = (SELECT count(*) FROM public.orders)`,
      )
    ).length > 0;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders AS SELECT 1 AS id');
  });

  beforeEach(async () => {
    warnings = [];
    await database.query(`DROP SCHEMA IF EXISTS ${STATE}, "Sales eu" CASCADE`);
  });

  afterEach(stop);

  afterAll(async () => {
    await database.drop();
  });

  const CASES = Object.keys(STORED).flatMap((stored) =>
    SHIFTS.slice(stored === EVERYTHING ? 0 : 1).map((by) => [stored, by]),
  );

  describe.each(oneIn(2, CASES))('%s, by %s', (stored = '', by = '') => {
    it('refreshes on demand', async () => {
      for (const [view, options] of [
        [Plain, {}],
        [Plain, { onBusy: 'wait' as const }],
        [Rare, {}],
      ] as const) {
        const refreshes = await start(view);
        await refreshes.refresh(view);
        await move(stored, by);
        await write();
        if (view === Rare) {
          await database.query(
            `UPDATE ${STATE}.view_state SET last_started_at = last_started_at - interval '1.1 s', last_success_at = last_success_at - interval '1.1 s'`,
          );
        }
        expect(await refreshes.refresh(view, options)).toMatchObject({ outcome: 'refreshed' });
        expect(await isCurrent()).toBe(true);
        await stop();
      }
    });

    it('reports no future times', async () => {
      const refreshes = await start(Limited);
      await refreshes.refresh(Limited);
      await write();
      await move(stored, by);
      const status = await refreshes.status(Limited);
      const [{ now } = { now: new Date() }] = await database.query<{ now: Date }>(
        'SELECT clock_timestamp() AS now',
      );
      const { lastSuccess, lastFailure, pausedAt, ageMs = 0, lastDurationMs = 0 } = status;
      for (const at of [lastSuccess?.at, lastSuccess?.startedAt, lastFailure?.at, pausedAt]) {
        expect(at === undefined || at <= now).toBe(true);
      }
      expect(status.changes?.pendingSince === undefined || status.changes.pendingSince <= now).toBe(
        true,
      );
      expect(ageMs).toBeGreaterThanOrEqual(0);
      expect(lastDurationMs).toBeGreaterThanOrEqual(0);
      expect(status.notBefore).toBeUndefined();
    });
  });

  const SOME = [
    ...Object.keys(STORED)
      .filter((stored) => stored !== EVERYTHING)
      .map((stored) => [stored, '1 hour']),
    ...SHIFTS.map((by) => [EVERYTHING, by]),
  ];
  const BY_ITSELF = Object.entries({ Scheduled, Thrifty, Watched, Debounced, Limited }).flatMap(
    ([kind, view]) => SOME.map(([stored = '', by = '']) => [kind, stored, by, view] as const),
  );

  describe('a view that is refreshed automatically', () => {
    it.each(sampleOf(BY_ITSELF))('is refreshed: %s, %s, by %s', async (_, stored, by, view) => {
      const refreshes = await start(view);
      await refreshes.refresh(view);
      await write();
      await move(stored, by);
      await stop();
      warnings = [];
      await start(view, { scheduling: true });
      await untilCurrent();
      await stop();
      expect(warnings.filter((line) => line.includes('clock has gone back')).length).toBeLessThan(
        2,
      );
    });
  });

  it('causes one warning, and none after a refresh', async () => {
    const refreshes = await start(Scheduled);
    await refreshes.refresh(Scheduled);
    await move(EVERYTHING, '1 hour');
    await refreshes.pause(Scheduled);
    expect(await refreshes.status(Scheduled)).toMatchObject({ aheadUntil: expect.any(Date) });
    for (const onPaused of ['skip', 'skip', 'refresh', 'refresh'] as const) {
      await refreshes.refresh(Scheduled, { onPaused });
    }
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`"${VIEW}"`);
    expect(warnings[0]).toContain('clock has gone back');
    expect((await refreshes.status(Scheduled)).aheadUntil).toBeUndefined();
    await move('last success', '1 hour');
    await refreshes.refresh(Scheduled);
    expect(warnings).toHaveLength(2);
  });

  it('keeps a view paused', async () => {
    const refreshes = await start(Scheduled);
    await refreshes.pause(Scheduled);
    await database.query(
      `UPDATE ${STATE}.view_state SET paused_at = paused_at + interval '1 hour'`,
    );
    const status = await refreshes.status(Scheduled);
    expect(status).toMatchObject({ isPaused: true });
    expect(status.pausedAt).toBeUndefined();
    expect(await refreshes.refresh(Scheduled, { onPaused: 'skip' })).toMatchObject({
      reason: 'paused',
    });
  });

  it('reports a view as stale if nothing else is known about it', async () => {
    const refreshes = await start(Limited);
    await refreshes.refresh(Limited);
    await write();
    await move(EVERYTHING, '1 hour');
    const status = await refreshes.status(Limited);
    expect(status).toMatchObject({ isStale: true });
    expect(status.lastSuccess).toBeUndefined();
    expect(status.ageMs).toBeUndefined();
  });

  it('goes on backing off if the failure is not ahead, and not if it is', async () => {
    const refreshes = await start(Scheduled);
    await database.query(
      `UPDATE ${STATE}.view_state SET last_failure_at = now(), not_before = now() + interval '1 h'`,
    );
    expect((await refreshes.status(Scheduled)).notBefore).toBeInstanceOf(Date);
    await move('last failure', '1 hour');
    expect((await refreshes.status(Scheduled)).notBefore).toBeUndefined();
  });

  it('has its newest runs first in the history, and prunes no new run for an old one', async () => {
    const refreshes = await start(Plain, { history: { maxCount: 3 } });
    for (let run = 0; run < 3; run++) {
      await refreshes.refresh(Plain);
    }
    await move('history', '1 hour');
    const after = [];
    for (let run = 0; run < 4; run++) {
      after.unshift((await refreshes.refresh(Plain)).runId);
    }
    const runs = async (): Promise<string[]> =>
      (await refreshes.history(Plain)).map(({ runId }) => runId);
    expect((await runs()).slice(0, 4)).toEqual(after);
    await new HistoryPruner(managed(app as TestingModule)).prune();
    expect((await runs()).slice(0, 3)).toEqual(after.slice(0, 3));
    expect(await runs()).not.toContain(after[3]);
  });

  it('gives no run a negative duration', async () => {
    const refreshes = await start(Scheduled);
    await refreshes.refresh(Scheduled);
    await database.query(
      `UPDATE ${STATE}.refresh_history SET finished_at = started_at - interval '1 hour';
       UPDATE ${STATE}.view_state SET last_success_at = last_started_at - interval '1 hour'`,
    );
    const status = await refreshes.status(Scheduled);
    expect(status.lastDurationMs).toBe(0);
    expect(status.meanDurationMs ?? 0).toBeGreaterThanOrEqual(0);
    const [run] = await refreshes.history(Scheduled);
    expect(run?.durationMs).toBe(0);
  });
});
