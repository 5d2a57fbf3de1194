import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { CronExpression } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { Index, ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  RefreshCancelledError,
  RefreshService,
  RefreshStoppedError,
  RefreshTimeoutError,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { ADVISORY_LOCKS, type ClosedGate, TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({
  name: 'slow',
  expression: 'SELECT 1 AS id WHERE public.gate()',
})
@Index(['id'], { unique: true })
class Slow {
  @ViewColumn() id!: number;
}

@MaterializedViewEntity({ name: 'slow_too', expression: 'SELECT 1 AS id WHERE public.gate()' })
class SlowToo {
  @ViewColumn() id!: number;
}

@MaterializedViewEntity({
  name: 'hourly',
  expression: 'SELECT 1 AS id WHERE public.gate()',
  refresh: { cron: CronExpression.EVERY_HOUR },
})
class Hourly {
  @ViewColumn() id!: number;
}

@MaterializedViewEntity({ name: 'waiting', expression: 'SELECT 1 AS id' })
class Waiting {
  @ViewColumn() id!: number;
}

@MaterializedViewEntity({
  name: 'Told of "writes"',
  expression: 'SELECT id FROM public.items WHERE public.gate()',
  refresh: { on: ['items'] },
})
class Told {
  @ViewColumn() id!: number;
}

describe('stopping', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let gate: ClosedGate;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
    await database.query('CREATE TABLE items AS SELECT 1 AS id');
  });

  afterAll(async () => {
    await database.drop();
  });

  const prepare = async (
    shutdownTimeout: number,
    options: { statementTimeout?: number; poolSize?: number } = {},
  ): Promise<void> => {
    app = await bootWith(database, {
      views: [Slow, SlowToo, Waiting, Told],
      lockTimeout: '60s',
      shutdownTimeout,
      ...options,
    });
    refreshes = app.get(RefreshService);
    gate = await database.closeGate();
  };

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views CASCADE`);
  });

  const outcomes = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT view_name, outcome FROM materialized_views.refresh_history
       WHERE trigger = 'demand' ORDER BY view_name`,
    );

  it('lets a running refresh finish, and accepts no more', async () => {
    await prepare(60_000);
    const running = refreshes.refresh(Slow);
    await gate.untilReached();
    const closing = app.close();
    await expect(
      until(() => refreshes.refresh(Waiting), RefreshStoppedError),
    ).resolves.toMatchObject({ code: 'MV_STOPPED', view: 'public.waiting' });
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    await closing;
    expect(await outcomes()).toContainEqual({ view_name: 'slow', outcome: 'refreshed' });
  });

  it('rejects at once what waits for a connection, and lets the others finish', async () => {
    await prepare(60_000);
    const running = [Slow, SlowToo].map((view) => refreshes.refresh(view));
    await gate.untilReached(2);
    const waiting = refreshes.refresh(Waiting).catch((error: unknown) => error);
    const closing = app.close();
    expect(await waiting).toBeInstanceOf(RefreshStoppedError);
    await gate.open();
    expect((await Promise.all(running)).map((result) => result.outcome)).toEqual([
      'refreshed',
      'refreshed',
    ]);
    await closing;
    expect((await outcomes()).map((run) => run.view_name)).toEqual(['slow', 'slow_too']);
  });

  it('cancels in the server what does not finish in time, and records that', async () => {
    await prepare(50);
    const failures = [Slow, SlowToo].map((view) =>
      refreshes.refresh(view).catch((error: unknown) => error),
    );
    await gate.untilReached(2);
    await app.close();
    for (const failure of await Promise.all(failures)) {
      expect(failure).toBeInstanceOf(RefreshCancelledError);
    }
    expect(await outcomes()).toEqual([
      { view_name: 'slow', outcome: 'cancelled' },
      { view_name: 'slow_too', outcome: 'cancelled' },
    ]);
    expect(await database.query(`SELECT granted FROM ${ADVISORY_LOCKS}`)).toEqual([
      { granted: true },
    ]);
    await gate.open();
    await database.until(`SELECT WHERE (SELECT count(*) FROM pg_stat_activity
      WHERE datname = current_database()) = 1`);
  });

  it('leaves a tick that it cancels to other processes', async () => {
    await (await bootWith(database, { views: [Hourly] })).close();
    await database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
    const scheduled = { views: [Hourly], scheduling: true, sweepInterval: 20, lockTimeout: 60_000 };
    gate = await database.closeGate();
    app = await bootWith(database, { ...scheduled, shutdownTimeout: 50 });
    await gate.untilReached();
    await app.close();
    await gate.open();
    const runs = `SELECT outcome FROM materialized_views.refresh_history WHERE tick IS NOT NULL`;
    expect(await database.query(runs)).toEqual([{ outcome: 'cancelled' }]);
    app = await bootWith(database, scheduled);
    await database.until(`${runs} AND outcome = 'refreshed'`);
    await app.close();
  });

  it('logs nothing about repairs that it no longer begins', async () => {
    await prepare(60_000);
    await database.query('ALTER TABLE items DISABLE TRIGGER USER');
    const running = refreshes.refresh(Told);
    await gate.untilReached();
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    const closing = app.close();
    await until(() => refreshes.refresh(Waiting), RefreshStoppedError);
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    await closing;
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  it('does not take a cancel for a timeout because the refresh waited long for a connection', async () => {
    await prepare(60_000, { poolSize: 1, statementTimeout: 4_000 });
    const first = refreshes.refresh(Slow).catch((error: unknown) => error);
    const second = refreshes.refresh(SlowToo).catch((error: unknown) => error);
    expect(await first).toBeInstanceOf(RefreshTimeoutError);
    await gate.untilReached();
    await database.query(`SELECT pg_cancel_backend(pid) FROM ${ADVISORY_LOCKS} WHERE NOT granted`);
    expect(await second).toBeInstanceOf(RefreshCancelledError);
    expect((await outcomes()).map((run) => run.outcome)).toEqual(['timeout', 'cancelled']);
    await gate.open();
    await app.close();
  });
});

/** Repeats the call until it fails with the given error, and resolves to that. */
async function until(
  call: () => Promise<unknown>,
  type: new (...args: never[]) => Error,
): Promise<Error> {
  for (;;) {
    try {
      await call();
    } catch (error) {
      if (error instanceof type) {
        return error;
      }
      throw error;
    }
  }
}
