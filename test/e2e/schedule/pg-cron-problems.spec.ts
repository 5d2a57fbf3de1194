import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Registry } from 'prom-client';
import { ViewColumn } from 'typeorm';
import type { PostgresServer } from '../../../sample/support/postgres-server.js';
import { examine } from '../../../lib/cli/doctor/doctor.js';
import { MaterializedViewsDashboardModule } from '../../../lib/dashboard/index.js';
import {
  MaterializedViewsHealthIndicator,
  MaterializedViewsHealthModule,
} from '../../../lib/health/index.js';
import {
  MaterializedViewEntity,
  RefreshService,
  SchemaService,
  type ViewStatus,
} from '../../../lib/index.js';
import { registerMetrics } from '../../../lib/prometheus/index.js';
import { quoteIdentifier } from '../../../lib/postgres/identifier.js';
import { type HttpApp, listen } from '../../support/http-app.js';
import { managed } from '../../support/managed.js';
import { runMigrations } from '../../support/migration-runner.js';
import { CRON_DATABASE, HAS_PG_CRON, startPgCronServer } from '../../support/pg-cron-server.js';
import { Releases } from '../../support/releases.js';
import { SchemaProject } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const VIEW = 'Odd schema.daily "<b>"';
const JOB = `materialized-view:${VIEW}`;

const DAILY: TestView = {
  schema: 'Odd schema',
  name: 'daily "<b>"',
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
  key: ['id'],
  refresh: { cron: '0 0 1 1 *', scheduler: 'pg_cron' },
};

/** All the places where an application reports a problem. */
interface Seen {
  status: ViewStatus;
  health: unknown;
  metrics: string;
  list: string;
  page: string;
}

const described = HAS_PG_CRON ? describe : describe.skip;

described('pg_cron that fails (features.md, row 9; needs Debian’s postgresql-15-cron)', () => {
  let server: PostgresServer;
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    server = await startPgCronServer();
    database = await TestDatabase.create(server.url, CRON_DATABASE);
    await database.query('CREATE TABLE public.orders (id int PRIMARY KEY, note int)');
    await database.query('INSERT INTO public.orders VALUES (1, 1)');
  });

  beforeEach(async () => {
    await database.query('CREATE EXTENSION IF NOT EXISTS pg_cron');
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.query('CREATE EXTENSION IF NOT EXISTS pg_cron');
    await database.query('SELECT cron.unschedule(jobid) FROM cron.job');
    await database.query('TRUNCATE cron.job_run_details');
    await database.query('DROP SCHEMA IF EXISTS materialized_views, other, "Odd schema" CASCADE');
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  const jobs = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT jobname::text, schedule, database, username, active FROM cron.job ORDER BY jobname, username`,
    );

  /** Adds a role for an application. Returns its name and connection URL. */
  const addRole = async (): Promise<{ role: string; url: string }> => {
    const role = `cron_${randomBytes(4).toString('hex')}`;
    await database.query(`CREATE ROLE ${role} LOGIN; GRANT USAGE ON SCHEMA cron TO ${role}`);
    await database.query(`GRANT CREATE ON DATABASE ${quoteIdentifier(CRON_DATABASE)} TO ${role}`);
    await database.query(`GRANT SELECT ON public.orders TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    return { role, url: url.href };
  };

  const dropRole = async (role: string): Promise<void> => {
    await releases.stop();
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Odd schema" CASCADE');
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  };

  /** Adds a run as pg_cron records it: without a start time if pg_cron could not connect. */
  const addRun = (
    status: string,
    message: string,
    { hasBegun = true, pid = 1 } = {},
  ): Promise<unknown> =>
    database.query(
      `INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status, return_message, start_time, end_time)
       SELECT j.jobid, nextval('cron.runid_seq'), $1::int, j.database, j.username, j.command, $2::text, $3::text,
              CASE WHEN $4::bool THEN now() END, CASE WHEN $2::text IN ('succeeded', 'failed') THEN now() END
       FROM cron.job j`,
      [pid, status, message, hasBegun],
    );

  /** A new application, which remembers nothing and neither schedules nor synchronizes. */
  const listening = (): Promise<HttpApp> =>
    listen({
      platform: 'express',
      database,
      options: { views: [viewClass(DAILY)], synchronize: false },
      metadata: {
        imports: [
          MaterializedViewsDashboardModule.forRoot({ allowUnauthenticated: true }),
          MaterializedViewsHealthModule,
        ],
      },
    });

  const see = async (): Promise<Seen> => {
    const { app, url } = await listening();
    const registry = new Registry();
    const registered = registerMetrics(app.get(RefreshService), { registry });
    const pageOf = async (path: string): Promise<string> =>
      (await fetch(`${url}/materialized-views/${path}`)).text();
    const seen = {
      status: await app.get(RefreshService).status(VIEW),
      health: await app.get(MaterializedViewsHealthIndicator).isFresh('views'),
      metrics: await registry.metrics(),
      list: await pageOf(''),
      page: await pageOf(
        `view?${new URLSearchParams({ source: 'default', view: VIEW }).toString()}`,
      ),
    };
    registered.stop();
    await app.close();
    return seen;
  };

  const expectProblem = async (reason: string, message: RegExp): Promise<void> => {
    const { status, health, metrics, list, page } = await see();
    expect(status.jobProblem).toEqual({
      reason,
      message: expect.stringMatching(message) as unknown,
    });
    expect(health).toMatchObject({
      views: {
        status: 'up',
        warnings: [expect.stringMatching(`^"Odd schema.daily .* is not refreshed by pg_cron: `)],
      },
    });
    expect(status.jobProblem?.message).not.toContain('CONTEXT');
    expect(JSON.stringify(health)).toMatch(message);
    expect(metrics).toMatch(/materialized_view_status\{[^}]*status="failed"\} 1/);
    for (const shown of [list, page]) {
      expect(shown).toContain('badge unscheduled');
      expect(shown).toMatch(message);
    }
  };

  const expectNone = async (): Promise<void> => {
    const { status, health, metrics, list } = await see();
    expect(status.jobProblem).toBeUndefined();
    expect(health).toMatchObject({ views: { status: 'up' } });
    expect(JSON.stringify(health)).not.toContain('pg_cron');
    expect(metrics).toMatch(/materialized_view_status\{[^}]*status="fresh"\} 1/);
    expect(list).not.toContain('badge unscheduled');
  };

  it.each([
    ['could not connect', 'connection failed', { hasBegun: false }, /failed: connection failed/],
    [
      'had no rights',
      'ERROR:  permission denied for schema x\nCONTEXT: y',
      {},
      /failed: permission denied for schema x/,
    ],
    ['fell with the server', 'server restarted', {}, /failed: server restarted/],
    ['said nothing', '', {}, /failed: it says nothing/],
  ])('shows a last run that %s, which the history does not have', async (_, said, how, message) => {
    await releases.start([DAILY]);
    await expectNone();
    await addRun('failed', said, how);
    await expectProblem('failed', message);
    // The next run is under way, so the last known outcome is still the failure.
    await addRun('running', '');
    await expectProblem('failed', message);
    await addRun('succeeded', '1 row');
    await expectNone();
  });

  it('leaves a failure that the history has to the history', async () => {
    await releases.start([DAILY]);
    await addRun('failed', 'ERROR:  division by zero', { pid: 77 });
    await database.query(
      `INSERT INTO materialized_views.refresh_history (run_id, schema_name, view_name, trigger, outcome, host, started_at, finished_at)
       SELECT gen_random_uuid(), schema_name, view_name, 'schedule', 'failed', 'pg_cron:77', clock_timestamp(), clock_timestamp()
       FROM materialized_views.view_state`,
    );
    const { status } = await see();
    expect(status.job?.lastRun).toMatchObject({ status: 'failed' });
    expect(status.jobProblem).toBeUndefined();
  });

  it('shows a job that is switched off, and leaves it off', async () => {
    await releases.start([DAILY]);
    await database.query('SELECT cron.alter_job(jobid, active => false) FROM cron.job');
    await expectProblem('inactive', /pg_cron job .* is not active/);
    await (await releases.start([DAILY])).verify();
    expect(await jobs()).toMatchObject([{ active: false }]);
  });

  it('shows a job that is gone, and one that was sent to another database, and makes it again', async () => {
    for (const statement of [
      'SELECT cron.unschedule(jobid) FROM cron.job',
      `SELECT cron.alter_job(jobid, database => 'postgres') FROM cron.job`,
    ]) {
      await releases.start([DAILY]);
      await database.query(statement);
      await expectProblem('missing', /pg_cron job .* is missing/);
      await (await releases.start([DAILY])).verify();
      expect(await jobs()).toMatchObject([{ jobname: JOB, database: CRON_DATABASE }]);
      await expectNone();
    }
  });

  it('finds what somebody has edited, and brings it back', async () => {
    for (const change of [`schedule => '1 1 * * *'`, `command => 'SELECT 1'`]) {
      await releases.start([DAILY]);
      await database.query(`SELECT cron.alter_job(jobid, ${change}) FROM cron.job`);
      const schema = await releases.start([DAILY], {
        onDrift: 'continue',
        synchronize: 'verify',
      });
      expect(await schema.diff()).toMatchObject([{ view: VIEW, kind: 'job-changed' }]);
      await expect(
        releases.start([DAILY], { onDrift: 'fail', synchronize: 'verify' }),
      ).rejects.toMatchObject({
        code: 'MV_SCHEMA_DRIFT',
      });
      await (await releases.start([DAILY])).verify();
    }
  });

  it('shows that the extension is gone, and that the view can go all the same', async () => {
    await releases.start([DAILY], { application: 'shop' });
    await database.query('DROP EXTENSION pg_cron');
    await expectProblem('unavailable', /does not have the extension pg_cron/);
    await expect(releases.start([DAILY])).rejects.toMatchObject({
      code: 'MV_PG_CRON_UNAVAILABLE',
    });
    const schema = await releases.start([DAILY], { synchronize: false, application: 'shop' });
    expect((await examine(managed(releases.module))).map(({ code }) => code)).toContain(
      'diff-fails',
    );
    await schema.drop(VIEW);
    await (await releases.start([{ ...DAILY, refresh: {} }], { application: 'shop' })).verify();
    await database.query('CREATE EXTENSION pg_cron');
    await releases.stop();
    // The extension's code caches the OIDs of its tables for the life of a session.
    const session = await database.session();
    await session.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database() AND backend_type = $1',
      ['client backend'],
    );
    await session.end();
    await database.reconnect();
  });

  it('says it on the command line', async () => {
    await releases.start([DAILY]);
    await addRun('failed', 'connection failed', { hasBegun: false });
    const project = await SchemaProject.create(database.url);
    try {
      const { schema, expression, refresh } = DAILY;
      const columns = ['id', 'note'];
      await project.declare([{ name: 'daily "<b>"', schema, expression, columns, refresh }]);
      expect((await project.run('status')).stdout).toContain('job failed');
      expect((await project.run('doctor')).stdout).toContain('connection failed');
    } finally {
      await project.remove();
    }
  });

  it('is no problem to a role that does not see the job, and is one to the owner without rights', async () => {
    const { role, url } = await addRole();
    const other = await addRole();
    try {
      await releases.start([DAILY], {}, { url });
      await database.query(
        `GRANT USAGE ON SCHEMA materialized_views, "Odd schema" TO ${other.role}`,
      );
      await database.query(
        `GRANT SELECT ON ALL TABLES IN SCHEMA materialized_views TO ${other.role}`,
      );
      const problem = async (of: string): Promise<unknown> => {
        await releases.start([DAILY], { synchronize: false }, { url: of });
        return (await releases.get(RefreshService).status(VIEW)).jobProblem?.reason;
      };
      expect([await problem(other.url), await problem(url)]).toEqual([undefined, undefined]);
      await database.query(`REVOKE USAGE ON SCHEMA cron FROM ${role}, ${other.role}`);
      expect([await problem(other.url), await problem(url)]).toEqual([undefined, 'unavailable']);
    } finally {
      await dropRole(role);
      await database.query(`DROP OWNED BY ${other.role}; DROP ROLE ${other.role}`);
    }
  });

  it('has one job, also where a superuser synchronizes what a role has made', async () => {
    const { role, url } = await addRole();
    try {
      await releases.start([DAILY], {}, { url });
      // Without this membership, the role's objects would not be touched at all.
      await database.query(`GRANT ${role} TO CURRENT_USER`);
      const schema = await releases.start([DAILY]);
      expect(await schema.diff()).toEqual([]);
      expect(await jobs()).toMatchObject([{ username: role }]);
      expect((await releases.get(RefreshService).status(VIEW)).job).toMatchObject({ name: JOB });
      await database.query('SELECT cron.alter_job(jobid, active => false) FROM cron.job');
      expect((await releases.get(RefreshService).status(VIEW)).jobProblem).toMatchObject({
        reason: 'inactive',
      });
    } finally {
      await dropRole(role);
    }
  });

  it('gives each tenant a job, which goes with the tenant and comes back with it', async () => {
    let tenants = ['one', 'two'];
    @MaterializedViewEntity({
      name: 'of_tenant',
      schemas: () => tenants,
      expression: () => 'SELECT 1 AS id',
      refresh: { cron: '0 3 * * *', scheduler: 'pg_cron' },
    })
    class OfTenant {
      @ViewColumn() id!: number;
    }
    const schemasWithJobs = async (): Promise<string[]> =>
      (await jobs()).map(({ jobname }) => /:(\w+)\.of_tenant$/.exec(String(jobname))?.[1] ?? '');
    const schema = await releases.start([OfTenant], { application: 'shop' });
    expect(await schemasWithJobs()).toEqual(['one', 'two']);
    for (const now of [['one', 'three', 'two'], ['one'], ['one', 'two']]) {
      tenants = now;
      await schema.sync();
      expect(await schemasWithJobs()).toEqual(now);
    }
    await releases.stop();
    await database.query('DROP SCHEMA two CASCADE');
    tenants = ['one'];
    await releases.start([OfTenant], { application: 'shop', synchronize: 'verify' });
    tenants = [];
    // With `verify`, dropping the job is left to a migration.
    await releases.get(SchemaService).sync();
    expect(await schemasWithJobs()).toEqual(['one', 'two']);
    tenants = ['one'];
    await (await releases.start([OfTenant], { application: 'shop' })).verify();
    expect(await schemasWithJobs()).toEqual(['one']);
    await database.query('DROP SCHEMA one, three CASCADE');
  });

  it('has migrations go to pg_cron and back, both ways', async () => {
    const without = { ...DAILY, refresh: { cron: '0 0 1 1 *' } };
    await releases.start([without]);
    for (const [view, after, before] of [
      [DAILY, [JOB], []],
      [without, [], [JOB]],
    ] as const) {
      const schema = await releases.start([view], { synchronize: 'verify', onDrift: 'continue' });
      const file = await schema.generateMigration({ name: 'Schedule' });
      await runMigrations(database, file, async (dataSource) => {
        const names = async (): Promise<unknown[]> => (await jobs()).map(({ jobname }) => jobname);
        await dataSource.runMigrations();
        expect(await names()).toEqual(after);
        await schema.verify();
        await dataSource.undoLastMigration();
        expect(await names()).toEqual(before);
        await dataSource.runMigrations();
      });
      await database.query('DROP TABLE public.migrations');
    }
  });

  it('is kept apart from the jobs of another application in the database', async () => {
    const theirs: TestView = { ...DAILY, name: 'theirs' };
    for (const stateSchema of ['materialized_views', 'other']) {
      const options = { prune: true, synchronize: true } as const;
      await releases.start([DAILY], { ...options, application: 'one' });
      await releases.start([theirs], { ...options, application: 'two', stateSchema });
      await (await releases.start([DAILY], { ...options, application: 'one' })).verify();
      expect((await jobs()).map(({ jobname }) => jobname)).toEqual([
        JOB,
        'materialized-view:Odd schema.theirs',
      ]);
      await releases.start([theirs], { ...options, application: 'two', stateSchema });
      await releases.get(SchemaService).dropAll();
      expect((await jobs()).map(({ jobname }) => jobname)).toEqual([JOB]);
    }
  });
});
