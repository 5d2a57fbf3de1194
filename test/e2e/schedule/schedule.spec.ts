import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { Logger } from '@nestjs/common';
import { CronExpression, SchedulerRegistry } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  RefreshLockError,
  RefreshService,
  RefreshTimeoutError,
} from '../../../lib/index.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const JOB = 'materialized-view:public.hourly';

@MaterializedViewEntity({
  name: 'hourly',
  expression: 'SELECT 100 / value AS ratio FROM numbers',
  refresh: { cron: CronExpression.EVERY_HOUR, timeZone: 'Europe/Berlin' },
})
class Hourly {
  @ViewColumn() ratio!: number;
}

@MaterializedViewEntity({
  name: 'secondly',
  expression: 'SELECT 1 AS one',
  refresh: { cron: CronExpression.EVERY_SECOND },
})
class Secondly {
  @ViewColumn() one!: number;
}

@MaterializedViewEntity({ name: 'gated', expression: 'SELECT 1 AS one WHERE public.gate()' })
class Gated {
  @ViewColumn() one!: number;
}

describe('schedule', () => {
  let database: TestDatabase;
  let app: TestingModule;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE numbers AS SELECT 1 AS value');
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('UPDATE numbers SET value = 1');
    await database.query(`DROP SCHEMA IF EXISTS materialized_views CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS hourly, secondly, gated`);
  });

  afterEach(async () => {
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const ticks = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT view_name, outcome, tick FROM materialized_views.refresh_history
       WHERE trigger = 'schedule' ORDER BY started_at`,
    );
  /** Resolves after new sweeps, whose due refreshes have begun. Use it only while a tick is due: then sweeps go on. */
  const untilSwept = async (): Promise<void> => {
    for (let sweeps = 0; sweeps < 2; sweeps++) {
      const [now] = await database.query('SELECT clock_timestamp() AS at');
      await database.until(
        `SELECT FROM pg_stat_activity
         WHERE datname = current_database() AND query = 'COMMIT' AND state_change > $1`,
        [now?.at],
      );
    }
  };
  const forget = (lastTick: string | null): Promise<unknown> =>
    database.query(`UPDATE materialized_views.view_state SET last_tick = $1::timestamptz`, [
      lastTick,
    ]);

  /** Boots an application whose view has missed ticks. */
  const bootLate = async (options: Parameters<typeof bootWith>[1]): Promise<TestingModule> => {
    await (await bootWith(database, options)).close();
    await forget('2020-01-01');
    return bootWith(database, { ...options, scheduling: true, sweepInterval: 20 });
  };
  const setPaused = (isPaused: boolean): Promise<unknown> =>
    database.query(
      `UPDATE materialized_views.view_state SET paused_at = CASE WHEN $1 THEN clock_timestamp() END`,
      [isPaused],
    );
  /** The same, but the view is paused, so the missed tick has to wait. */
  const bootPaused = async (options: Parameters<typeof bootWith>[1]): Promise<TestingModule> => {
    await (await bootWith(database, options)).close();
    await setPaused(true);
    return bootLate(options);
  };

  it("keeps a view's schedule as @Cron metadata and its job in the SchedulerRegistry", async () => {
    app = await bootWith(database, { views: [Hourly], scheduling: true });
    const job = app.get(SchedulerRegistry).getCronJob(JOB);
    expect(job.isActive).toBe(true);
    expect(job.nextDate().minute).toBe(0);
    expect(job.nextDate().zoneName).toBe('Europe/Berlin');
    expect(Reflect.getMetadata('SCHEDULE_CRON_OPTIONS', Hourly)).toEqual({
      cronTime: CronExpression.EVERY_HOUR,
      timeZone: 'Europe/Berlin',
    });
    await app.close();
    expect(job.isActive).toBe(false);
  });

  it('schedules nothing in a process with scheduling: false', async () => {
    app = await bootWith(database, { views: [Hourly], scheduling: false, sweepInterval: 20 });
    expect(app.get(SchedulerRegistry).getCronJobs().size).toBe(0);
    await forget(null);
    expect(await app.get(RefreshService).refresh(Hourly)).toMatchObject({ outcome: 'refreshed' });
    expect(await ticks()).toEqual([]);
  });

  it('does each tick at its time and records it', async () => {
    app = await bootWith(database, { views: [Secondly], scheduling: true });
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE tick IS NOT NULL HAVING count(*) >= 3`,
    );
    const rows = await database.query<{ on_grid: boolean; is_late: boolean; outcome: string }>(
      `SELECT outcome,
              date_trunc('second', tick) = tick AS on_grid,
              started_at < tick - interval '250 ms' AS is_early
       FROM materialized_views.refresh_history WHERE tick IS NOT NULL`,
    );
    expect(new Set(rows.map((row) => JSON.stringify(row)))).toEqual(
      new Set([JSON.stringify({ outcome: 'refreshed', on_grid: true, is_early: false })]),
    );
  });

  it('counts no tick before a view was created', async () => {
    app = await bootWith(database, {
      views: [Hourly, Secondly],
      scheduling: true,
      sweepInterval: 20,
    });
    await untilSwept();
    expect((await ticks()).filter((run) => run.view_name === 'hourly')).toEqual([]);
  });

  it('does a missed tick once, however many were missed', async () => {
    app = await bootLate({ views: [Hourly] });
    await database.until(`SELECT FROM materialized_views.refresh_history WHERE tick IS NOT NULL`);
    expect(await ticks()).toHaveLength(1);
    const [state] = await database.query(
      `SELECT last_tick = date_trunc('hour', last_tick) AS on_grid,
              last_tick > clock_timestamp() - interval '61 minutes' AS is_last
       FROM materialized_views.view_state`,
    );
    expect(state).toEqual({ on_grid: true, is_last: true });
  });

  it('refreshes an unpopulated view as soon as possible', async () => {
    await database.query(
      'CREATE MATERIALIZED VIEW hourly AS SELECT 100 / value AS ratio FROM numbers WITH NO DATA',
    );
    app = await bootWith(database, { views: [Hourly], scheduling: true, sweepInterval: 20 });
    await database.until(`SELECT FROM pg_class WHERE relname = 'hourly' AND relispopulated`);
  });

  it('backs off from a failing view until the next success', async () => {
    await (await bootWith(database, { views: [Hourly] })).close();
    await database.query('UPDATE numbers SET value = 0');
    app = await bootLate({ views: [Hourly] });
    const [failed] = await database.until<{ failure_count: number }>(
      `SELECT failure_count, last_error_code,
              not_before = last_failure_at + 0.02 * least(failure_count, 20) * interval '1 s' AS backs_off
       FROM materialized_views.view_state WHERE failure_count >= 3`,
    );
    expect(failed).toMatchObject({ last_error_code: '22012', backs_off: true });
    await database.query('UPDATE numbers SET value = 1');
    const [recovered] = await database.until(
      `SELECT failure_count, not_before FROM materialized_views.view_state WHERE last_tick > '2020-01-01'`,
    );
    expect(recovered).toEqual({ failure_count: 0, not_before: null });
  });

  it('gives up a tick that the next one makes up for, and does not back off for transient failures', async () => {
    app = await bootWith(database, { views: [Secondly], lockTimeout: 20 });
    const reader = await database.session();
    await reader.query('BEGIN; SELECT FROM secondly');
    const tick = new Date();
    const request = tickRequest(definitionOf(app, Secondly), tick, tick);
    await expect(managed(app).refresher.runner.run(request)).rejects.toThrow(RefreshLockError);
    await reader.end();
    expect(
      await database.query(
        `SELECT failure_count, not_before, attempt, outcome
         FROM materialized_views.view_state JOIN materialized_views.refresh_history h USING (view_name)
         WHERE h.trigger = 'schedule'`,
      ),
    ).toEqual([{ failure_count: 1, not_before: null, attempt: 1, outcome: 'failed' }]);
  });

  it('does not repeat a tick that took too long', async () => {
    app = await bootWith(database, { views: [Gated], statementTimeout: '2s' });
    const { runner } = managed(app).refresher;
    const request = tickRequest(definitionOf(app, Gated), new Date());
    const gate = await database.closeGate();
    await expect(runner.run(request)).rejects.toThrow(RefreshTimeoutError);
    await gate.open();
    expect(await runner.run(request)).toMatchObject({ outcome: 'skipped', reason: 'tick_done' });
  });

  it('logs an error of a failing view once, and again after it has recovered', async () => {
    app = await bootWith(database, { views: [Hourly], scheduling: true });
    const errors: unknown[] = [];
    app.useLogger({ error: (message) => errors.push(message), log() {}, warn() {} });
    const job = app.get(SchedulerRegistry).getCronJob(JOB);
    job.waitForCompletion = true;
    const tickWith = async (value: number): Promise<void> => {
      await database.query('UPDATE numbers SET value = $1', [value]);
      await database.query(
        `UPDATE materialized_views.view_state SET last_tick = '2020-01-01', not_before = NULL, claimed_tick = NULL`,
      );
      await job.fireOnTick();
    };
    await tickWith(0);
    await tickWith(0);
    expect(errors).toEqual([expect.stringContaining('Tick ')]);
    await tickWith(1);
    await tickWith(0);
    expect(errors).toHaveLength(2);
  });

  it('recovers when the state of a view is gone, although the history has the tick', async () => {
    app = await bootLate({ views: [Hourly] });
    await database.until(`SELECT FROM materialized_views.refresh_history WHERE tick IS NOT NULL`);
    await app.close();
    await database.query(`DELETE FROM materialized_views.view_state`);
    app = await bootWith(database, { views: [Hourly], scheduling: true, sweepInterval: 20 });
    await database.until(`SELECT FROM materialized_views.view_state WHERE last_tick IS NOT NULL`);
    const outcomes = (await ticks()).map((run) => run.outcome);
    expect(new Set(outcomes)).toEqual(new Set(['refreshed']));
  });

  it('logs nothing about a sweep that the end of the application cuts off', async () => {
    app = await bootPaused({ views: [Hourly] });
    const other = await database.session();
    await other.query('BEGIN; LOCK materialized_views.view_state');
    await database.until(`SELECT FROM pg_locks
      WHERE relation = 'materialized_views.view_state'::regclass AND NOT granted`);
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    await app.close();
    await other.end();
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  it('logs no error for a tick that waits when the application stops', async () => {
    app = await bootPaused({ views: [Hourly, Gated], poolSize: 1 });
    const errors: unknown[] = [];
    app.useLogger({ error: (message) => errors.push(message), log() {}, warn() {} });
    const gate = await database.closeGate();
    const running = app.get(RefreshService).refresh(Gated);
    await gate.untilReached();
    await setPaused(false);
    await untilSwept();
    const closing = app.close();
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    await closing;
    expect(errors).toEqual([]);
    expect((await ticks()).filter((run) => run.view_name === 'hourly')).toEqual([]);
  });
});
