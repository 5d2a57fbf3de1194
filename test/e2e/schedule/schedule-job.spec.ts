import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { CronTime } from 'cron';
import { ViewColumn } from 'typeorm';
import {
  InvalidOptionsError,
  MaterializedViewEntity,
  MaterializedViewsModule,
} from '../../../lib/index.js';
import { CronGrid, cronProblem } from '../../../lib/definition/cron-grid.js';
import { RefreshJob } from '../../../lib/nest/refresh.job.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { Network } from '../../support/network.js';
import { TestDatabase } from '../../support/test-database.js';

const SCHEMA = 'night shift';
const VIEW = 'By "hour"';
const JOB = `materialized-view:${SCHEMA}.${VIEW}`;

@MaterializedViewEntity({
  name: VIEW,
  schema: SCHEMA,
  expression: 'SELECT 1 AS one',
  refresh: { cron: '* * * * * *' },
})
class Stopped {
  @ViewColumn() one!: number;
}

@MaterializedViewEntity({
  name: 'witness',
  expression: 'SELECT 1 AS one',
  refresh: { cron: '* * * * * *' },
})
class Witness {
  @ViewColumn() one!: number;
}

@MaterializedViewEntity({
  name: 'asleep',
  expression: 'SELECT 1 AS one',
  refresh: { cron: '0 0 1 1 *' },
})
class Asleep {
  @ViewColumn() one!: number;
}

describe('the job of a view in the SchedulerRegistry', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views CASCADE');
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  const start = async (
    views: (new () => object)[],
    { url = database.url, cronJobs = true, scheduling = true } = {},
  ): Promise<SchedulerRegistry> => {
    app = await boot(
      typeOrm(database, { url, autoLoadEntities: false, entities: views }),
      ScheduleModule.forRoot({ cronJobs }),
      MaterializedViewsModule.forRoot({ views, scheduling, sweepInterval: 20 }),
    );
    return app.get(SchedulerRegistry);
  };

  const tickCount = async (view: string): Promise<number> => {
    const [row] = await database.query<{ count: number }>(
      `SELECT count(*)::int AS count FROM materialized_views.refresh_history
       WHERE view_name = $1 AND tick IS NOT NULL`,
      [view],
    );
    return row?.count ?? 0;
  };
  const untilTicks = (view: string, count: number): Promise<unknown> =>
    database.until(
      `SELECT FROM materialized_views.refresh_history
       WHERE view_name = $1 AND tick IS NOT NULL HAVING count(*) >= $2`,
      [view, count],
    );
  /** Resolves after two ticks of another view, and so after the sweeps that look for missed ticks. */
  const untilWitnessed = async (): Promise<void> =>
    void (await untilTicks('witness', (await tickCount('witness')) + 2));

  it.each([
    ['stop()', (registry: SchedulerRegistry) => void registry.getCronJob(JOB).stop()],
    ['deleteCronJob', (registry: SchedulerRegistry) => registry.deleteCronJob(JOB)],
    ['taking it out', (registry: SchedulerRegistry) => void registry.getCronJobs().delete(JOB)],
  ])('ends all ticks of the view in this process: %s', async (_, end) => {
    const registry = await start([Stopped, Witness]);
    await untilTicks(VIEW, 1);
    end(registry);
    // A tick that is under way may still be done.
    await untilWitnessed();
    const before = await tickCount(VIEW);
    await untilWitnessed();
    expect(await tickCount(VIEW)).toBe(before);
  });

  it('goes on when it is started again', async () => {
    const job = (await start([Stopped, Witness])).getCronJob(JOB);
    await job.stop();
    await untilWitnessed();
    const before = await tickCount(VIEW);
    job.start();
    await untilTicks(VIEW, before + 2);
  });

  it('does not exist with `cronJobs: false`, and then there are no ticks', async () => {
    const registry = await start([Stopped], { cronJobs: false });
    expect(registry.getCronJobs().size).toBe(0);
    const other = app;
    await start([Witness]);
    await untilWitnessed();
    expect(await tickCount(VIEW)).toBe(0);
    await other?.close();
  });

  it('refuses another time, and says what to use instead', async () => {
    const job = (await start([Stopped])).getCronJob(JOB);
    const change = (): void => job.setTime(new CronTime('0 0 * * * *'));
    expect(change).toThrow(InvalidOptionsError);
    try {
      change();
    } catch (error) {
      expect((error as InvalidOptionsError).hint).toMatch(/pause.*scheduling: false/);
    }
    await untilTicks(VIEW, 1);
  });

  it('lets the database sleep between ticks', async () => {
    await start([Asleep], { scheduling: false });
    await database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
    await app?.close();
    const network = await Network.to(database.url);
    const registry = await start([Asleep], { url: network.url });
    expect(registry.getCronJobs().size).toBe(1);
    // The first sweep does the due tick. A later one finds that nothing is due.
    await untilTicks('asleep', 1);
    await database.until(`SELECT FROM materialized_views.lease WHERE rest_ms > 0`);
    // The process has closed its connections, or is about to, so any statement would open a new one.
    const before = network.linkCount;
    await database.query('SELECT pg_sleep(2.5)');
    expect(network.linkCount).toBe(before);
    await app?.close();
    app = undefined;
    await network.stop();
  });
});

const DAYS = ['*', '*/1', '1-31', '?', '1', '*/2', '1,2,3-31'];
const WEEKDAYS = ['*', '*/1', '0-6', '0-7', '1-5', '?', '1'];
const ZONES = ['UTC', 'America/Nuuk', 'America/New_York', 'Australia/Lord_Howe'];
const SCHEDULES = ZONES.flatMap((zone) =>
  DAYS.flatMap((day) => WEEKDAYS.map((weekday) => [`30 23 ${day} * ${weekday}`, zone] as const)),
).filter(([cron, zone]) => cronProblem(cron, zone) === undefined);

describe('the times of a job', () => {
  it('are those of the grid, however its day fields express "every"', async () => {
    for (const [cron, timeZone] of SCHEDULES) {
      const grid = new CronGrid(cron, timeZone);
      const view = { name: { schema: 's', name: 'v' }, schedule: { cron, timeZone, grid } };
      const job = new RefreshJob('job', view as never, () => Promise.resolve());
      await job.stop();
      const ticks: number[] = [];
      for (let at = new Date(); ticks.length < 40;) {
        at = grid.nextTickAfter(at) ?? at;
        ticks.push(at.getTime());
      }
      expect({ cron, timeZone, ticks: job.nextDates(40).map((date) => date.toMillis()) }).toEqual({
        cron,
        timeZone,
        ticks,
      });
    }
  });
});
