import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import type { Client } from 'pg';
import type { PostgresServer } from '../../../sample/support/postgres-server.js';
import { type RefreshHistoryEntry, RefreshService, SchemaService } from '../../../lib/index.js';
import { examine } from '../../../lib/cli/doctor/doctor.js';
import type { Finding } from '../../../lib/cli/doctor/finding.js';
import { quoteIdentifier } from '../../../lib/postgres/identifier.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { LEAK_TYPES, LEAKS, MARKER } from '../../support/leaks.js';
import { runMigrations } from '../../support/migration-runner.js';
import { CRON_DATABASE, HAS_PG_CRON, startPgCronServer } from '../../support/pg-cron-server.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import { setTraps, trappedCount } from '../../support/traps.js';
import type { TestView } from '../../support/view-class.js';

interface Job extends Record<string, unknown> {
  jobname: string;
  schedule: string;
  command: string;
}

const VIEW = `Odd schema.daily "o'rders\\"`;
const JOB = `materialized-view:${VIEW}`;
const QUOTED = `"Odd schema"."daily ""o'rders\\"""`;

const DAILY: TestView = {
  schema: 'Odd schema',
  name: `daily "o'rders\\"`,
  expression: 'SELECT id, 100 / note AS ratio FROM public.orders',
  columns: ['id', 'ratio'],
  indexes: [{ name: 'daily_id', keys: ['id'], unique: true }],
  refresh: {
    cron: '*/10 * * * *',
    scheduler: 'pg_cron',
    settings: { work_mem: '5MB', jit: false },
  },
};

const GATED: TestView = {
  name: 'gated',
  expression: 'SELECT 1 AS id WHERE public.gate()',
  refresh: { cron: '0 0 * * *', scheduler: 'pg_cron' },
};

const withRefresh = (view: TestView, refresh: TestView['refresh']): TestView => ({
  ...view,
  refresh,
});

const randomRole = (): string => `cron_${randomBytes(4).toString('hex')}`;

const described = HAS_PG_CRON ? describe : describe.skip;

described('pg_cron (features.md, row 9; needs Debian’s postgresql-15-cron)', () => {
  let server: PostgresServer;
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    server = await startPgCronServer();
    database = await TestDatabase.create(server.url, CRON_DATABASE);
    await database.query('CREATE EXTENSION pg_cron');
    await database.query('CREATE TABLE public.orders (id int PRIMARY KEY, note int)');
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('TRUNCATE public.orders');
    await database.query('INSERT INTO public.orders VALUES (1, 1)');
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.query('SELECT cron.unschedule(jobid) FROM cron.job');
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Odd schema" CASCADE`);
    await database.query('DROP MATERIALIZED VIEW IF EXISTS gated, above, renamed');
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  const jobs = (): Promise<Job[]> =>
    database.query<Job>('SELECT jobname::text, schedule, command FROM cron.job ORDER BY jobname');

  /** Runs the job's command, as pg_cron does at a tick. */
  const runJob = async (client: Client = database.client, jobname = JOB): Promise<void> => {
    const job = (await jobs()).find((each) => each.jobname === jobname);
    await client.query(job?.command ?? 'no job');
  };

  const history = (view = VIEW): Promise<RefreshHistoryEntry[]> =>
    releases.get(RefreshService).history(view);

  const scheduledRuns = async (view = VIEW): Promise<RefreshHistoryEntry[]> =>
    (await history(view)).filter(({ trigger }) => trigger === 'schedule');

  const findings = async (): Promise<Finding[]> =>
    (await examine(managed(releases.module))).filter(({ code }) => code.startsWith('job-'));

  /** Makes the ticks until now count as missed. */
  const forgetTicks = (): Promise<unknown> =>
    database.query(`UPDATE materialized_views.view_state SET last_tick = 'epoch'`);

  /** A scheduled refresh by a replica, e.g. one of a release that does not use pg_cron. */
  const replicaTick = async (view = VIEW): Promise<string> => {
    const definition = definitionOf(releases.module, view);
    const tick = definition.schedule?.grid.lastTickAt(new Date()) ?? new Date(0);
    const result = await managed(releases.module).refresher.runner.run(
      tickRequest(definition, tick),
    );
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  };

  it('has a job that is created, changed and dropped with the view', async () => {
    await releases.start([DAILY]);
    const made = await jobs();
    expect(made).toMatchObject([{ jobname: JOB, schedule: '*/10 * * * *' }]);

    const schema = await releases.start([DAILY]);
    expect(releases.reports).toMatchObject([{ counts: { unchanged: 1 } }]);
    await schema.verify();
    expect(await jobs()).toEqual(made);

    await releases.start([withRefresh(DAILY, { ...DAILY.refresh, cron: '@hourly' })]);
    expect(await jobs()).toMatchObject([{ jobname: JOB, schedule: '0 * * * *' }]);

    const renamed = { ...DAILY, schema: 'public', name: 'renamed', renamedFrom: VIEW };
    await (await releases.start([renamed])).verify();
    expect(await jobs()).toMatchObject([{ jobname: 'materialized-view:public.renamed' }]);

    await releases.start([withRefresh(renamed, { cron: '*/10 * * * *' })]);
    expect(await jobs()).toEqual([]);
  });

  it('has none for a view that is pruned or dropped, and keeps those of others', async () => {
    await releases.start([DAILY, GATED], { application: 'shop' });
    await database.query(`SELECT cron.schedule('by hand', '0 0 1 1 *', 'SELECT 1')`);
    await releases.start([GATED], { application: 'shop', prune: true });
    expect((await jobs()).map(({ jobname }) => jobname)).toEqual([
      'by hand',
      'materialized-view:public.gated',
    ]);
    await releases.get(SchemaService).drop('public.gated');
    expect((await jobs()).map(({ jobname }) => jobname)).toEqual(['by hand']);
  });

  it('reports the job, and with `synchronize: "verify"` leaves it', async () => {
    await releases.start([withRefresh(DAILY, {})]);
    const schema = await releases.start([DAILY], { synchronize: 'verify' });
    expect(await schema.diff()).toEqual([
      { view: VIEW, kind: 'job-missing', description: 'its pg_cron job is missing' },
    ]);
    expect(await jobs()).toEqual([]);
    await releases.start([DAILY], { synchronize: 'create' });
    const changed = withRefresh(DAILY, { ...DAILY.refresh, strict: true });
    expect(await (await releases.start([changed], { synchronize: 'create' })).diff()).toEqual([
      { view: VIEW, kind: 'job-changed', description: 'its pg_cron job changed' },
    ]);
  });

  it('lets a migration create the job, and undo it', async () => {
    const schema = await releases.start([DAILY], { synchronize: 'verify' });
    const migration = await schema.generateMigration({ name: 'AddDaily' });
    await runMigrations(database, migration, async (dataSource) => {
      await dataSource.runMigrations();
      expect(await jobs()).toMatchObject([{ jobname: JOB, schedule: '*/10 * * * *' }]);
      await schema.verify();
      await runJob();
      await dataSource.undoLastMigration();
      expect(await jobs()).toEqual([]);
    });
    await database.query('DROP TABLE IF EXISTS migrations');
  });

  it('does a tick once, whoever comes first, and records it like a replica', async () => {
    await releases.start([DAILY]);
    await forgetTicks();
    await database.query('INSERT INTO public.orders VALUES (2, 50)');
    await runJob();
    expect(await replicaTick()).toBe('tick_done');
    await runJob();
    const [run, ...others] = await scheduledRuns();
    expect(others).toEqual([]);
    expect(run).toMatchObject({
      outcome: 'refreshed',
      tick: definitionOf(releases.module, VIEW).schedule?.grid.lastTickAt(run?.startedAt as Date),
      mode: 'concurrently',
      modeReason: 'unique_index',
      insertedCount: 1,
      deletedCount: 0,
      host: expect.stringMatching(/^pg_cron:\d+$/) as unknown,
    });
    expect(await database.query(`SELECT id, ratio FROM ${QUOTED} ORDER BY id`)).toEqual([
      { id: 1, ratio: 100 },
      { id: 2, ratio: 2 },
    ]);

    await forgetTicks();
    expect(await replicaTick()).toBe('refreshed');
    await runJob();
    expect(await scheduledRuns()).toHaveLength(2);
  });

  it('does it once for jobs and replicas that come together, and waits for a refresh on demand', async () => {
    await releases.start([GATED]);
    await forgetTicks();
    const gate = await database.closeGate();
    const demand = releases.get(RefreshService).refresh('public.gated');
    await gate.untilReached();
    const sessions = await Promise.all([1, 2, 3].map(() => database.session()));
    const runs = sessions.map((session) => runJob(session, 'materialized-view:public.gated'));
    await database.until(
      `SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'CALL%' HAVING count(*) = 3`,
    );
    // The jobs don't hold up VACUUM: each waits in short transactions, of at most a second or two.
    await gate.open();
    await Promise.all([demand, ...runs, replicaTick('public.gated')]);
    expect(await scheduledRuns('public.gated')).toHaveLength(1);
    await Promise.all(sessions.map((session) => session.end()));
  });

  it('records a failure, and reports it to pg_cron', async () => {
    await releases.start([DAILY]);
    await forgetTicks();
    await database.query('INSERT INTO public.orders VALUES (2, 0)');
    await expect(runJob()).rejects.toMatchObject({ code: '22012', message: 'division by zero' });
    expect(await scheduledRuns()).toMatchObject([
      { outcome: 'failed', errorCode: '22012', errorMessage: 'division by zero' },
    ]);
    expect(await releases.get(RefreshService).status(VIEW)).toMatchObject({ failureCount: 1 });
    expect(await database.query(`SELECT id FROM ${QUOTED}`)).toEqual([{ id: 1 }]);

    await database.query('DELETE FROM public.orders WHERE note = 0');
    await runJob();
    expect(await releases.get(RefreshService).status(VIEW)).toMatchObject({ failureCount: 0 });

    await database.query(`DROP MATERIALIZED VIEW ${QUOTED}`);
    await forgetTicks();
    await expect(runJob()).rejects.toThrow(`Materialized view "${VIEW}" does not exist`);
    expect((await scheduledRuns())[0]).toMatchObject({ errorCode: 'MV_VIEW_MISSING' });
  });

  it('keeps row data out of the history and of what pg_cron stores, and leaves it to the log of the server', async () => {
    const views = LEAKS.map(({ expression }, position): TestView => {
      const name = `leak_${position}`;
      return {
        ...GATED,
        name,
        expression: `SELECT (${expression})::text AS v FROM public.people`,
        columns: ['v'],
      };
    });
    const setUps = LEAKS.flatMap(({ setup }) => setup ?? []);
    await database.query(
      `CREATE TABLE public.people (secret text); ${LEAK_TYPES}; ${setUps.join('\n')}`,
    );
    await releases.start(views);
    await forgetTicks();
    await database.query(`INSERT INTO public.people VALUES ('${MARKER}')`);
    const texts: string[] = [];
    for (const { name } of views) {
      const error = await runJob(database.client, `materialized-view:public.${name}`).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).toBeInstanceOf(Error);
      const recorded = await scheduledRuns(`public.${name}`);
      expect(recorded).toHaveLength(1);
      texts.push(inspect({ error, recorded }, { depth: 5 }));
    }
    texts.push(inspect(await releases.get(RefreshService).statusAll(), { depth: 5 }));
    expect(texts.filter((text) => text.includes(MARKER))).toEqual([]);
    await database.query('DROP TABLE public.people CASCADE');
  });

  it('respects `strict`, `pause`, `cancel` and the limit of the role', async () => {
    const refreshes = (): RefreshService => releases.get(RefreshService);
    await releases.start([withRefresh(GATED, { ...GATED.refresh, strict: true })]);
    const job = 'materialized-view:public.gated';
    await forgetTicks();
    await expect(runJob(database.client, job)).rejects.toThrow(/"strict" does not allow/);

    await releases.start([GATED]);
    await refreshes().pause('public.gated');
    await runJob(database.client, job);
    await refreshes().resume('public.gated');

    const gate = await database.closeGate();
    const session = await database.session();
    const cancelled = runJob(session, job);
    const refused = expect(cancelled).rejects.toMatchObject({ code: '57014' });
    await gate.untilReached();
    await refreshes().cancel('public.gated');
    await refused;
    // A cancelled tick counts as done, so this run does nothing.
    await runJob(session, job);

    await forgetTicks();
    await session.query(`SET statement_timeout = '300ms'`);
    await expect(runJob(session, job)).rejects.toMatchObject({ code: '57014' });
    await gate.open();
    await session.end();
    expect((await scheduledRuns('public.gated')).map(({ outcome }) => outcome)).toEqual([
      'timeout',
      'cancelled',
      'failed',
    ]);
  });

  // The server's clock may step, so its timeout can come much too early.
  it('trusts the reason of a server that cancels early', async () => {
    await releases.start([GATED]);
    try {
      for (const reason of ['user request', 'statement timeout']) {
        await forgetTicks();
        await database.query(
          `CREATE OR REPLACE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
           $$BEGIN RAISE 'canceling statement due to ${reason}' USING ERRCODE = '57014'; END$$`,
        );
        const running = runJob(database.client, 'materialized-view:public.gated');
        await expect(running).rejects.toMatchObject({ code: '57014' });
      }
      expect((await scheduledRuns('public.gated')).map(({ outcome }) => outcome)).toEqual([
        'timeout',
        'cancelled',
      ]);
    } finally {
      await database.query('DROP FUNCTION public.gate CASCADE');
      await database.createGate();
    }
  });

  it('stores what a view above it relies on', async () => {
    const below = { ...DAILY, expression: 'SELECT id, note AS ratio FROM public.orders' };
    const above: TestView = {
      name: 'above',
      expression: `SELECT id FROM ${QUOTED}`,
      refresh: { maxStaleness: '1h' },
    };
    await releases.start([below, above]);
    await releases.get(RefreshService).refresh(VIEW);
    await forgetTicks();
    await database.query('INSERT INTO public.orders VALUES (2, 1)');
    await runJob();
    const status = await releases.get(RefreshService).status(VIEW);
    expect(status.changes).toMatchObject({ isUnchanged: true });
    expect((await releases.get(RefreshService).status('public.above')).changes).toMatchObject({
      isUnchanged: false,
    });
  });

  it('deletes old rows of the history', async () => {
    await releases.start([DAILY], { history: { maxCount: 2 } });
    for (let run = 0; run < 4; run++) {
      await forgetTicks();
      await runJob();
    }
    expect(await history()).toHaveLength(2);
  });

  it('leaves the jobs of views that other roles own, and says what a role lacks', async () => {
    const [owner, reader] = [randomRole(), randomRole()];
    await database.query(`CREATE ROLE ${owner} LOGIN; CREATE ROLE ${reader} LOGIN`);
    await database.query(`GRANT CREATE ON DATABASE ${quoteIdentifier(CRON_DATABASE)} TO ${owner}`);
    await database.query(`GRANT SELECT ON public.orders TO ${owner}`);
    const asRole = (username: string): { url: string } => {
      const url = new URL(database.url);
      url.username = username;
      return { url: url.href };
    };
    await expect(releases.start([DAILY], {}, asRole(owner))).rejects.toMatchObject({
      name: 'PgCronUnavailableError',
      message: expect.stringContaining(`role "${owner}" may not use schema "cron"`) as unknown,
      hint: `Have a superuser run: GRANT USAGE ON SCHEMA cron TO "${owner}";`,
    });
    await database.query(`GRANT USAGE ON SCHEMA cron TO ${owner}`);
    await releases.start([DAILY], {}, asRole(owner));
    expect(await database.query(`SELECT username FROM cron.job`)).toEqual([{ username: owner }]);

    await database.query(`GRANT USAGE ON SCHEMA materialized_views, "Odd schema" TO ${reader}`);
    await database.query(`GRANT ALL ON ALL TABLES IN SCHEMA materialized_views TO ${reader}`);
    const schema = await releases.start([DAILY], { synchronize: false }, asRole(reader));
    expect((await schema.diff()).map(({ kind }) => kind)).not.toContain('job-missing');

    const session = await database.session();
    await session.query(`SET ROLE ${owner}`);
    await forgetTicks();
    await runJob(session);
    await session.end();
    await releases.start([DAILY], {}, asRole(owner));
    expect(await scheduledRuns()).toHaveLength(1);
    await releases.get(SchemaService).dropAll();
    expect(await jobs()).toEqual([]);
    await releases.end();
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Odd schema" CASCADE`);
    await database.query(`DROP OWNED BY ${owner}, ${reader}; DROP ROLE ${owner}, ${reader}`);
  });

  it('refuses views of the other databases of the server', async () => {
    const other = await TestDatabase.create(server.url);
    const elsewhere = new Releases(other);
    await other.query('CREATE TABLE public.orders (id int PRIMARY KEY, note int)');
    await expect(elsewhere.start([DAILY])).rejects.toThrow(
      `pg_cron lives in database "${CRON_DATABASE}" of this server`,
    );
    await elsewhere.end();
    await other.drop();
  });

  it('is run by pg_cron itself, and its record is read back', async () => {
    const everyMinute = { cron: '* * * * *', scheduler: 'pg_cron' } as const;
    await releases.start([withRefresh(DAILY, everyMinute), withRefresh(GATED, everyMinute)]);
    await database.query(`UPDATE public.orders SET note = 0`);
    // Nothing listens on this port.
    await database.query(`UPDATE cron.job SET nodeport = 1 WHERE jobname LIKE '%gated'`);
    await database.until(
      `SELECT FROM cron.job_run_details WHERE status = 'failed' HAVING count(DISTINCT jobid) = 2`,
    );
    const [daily] = await scheduledRuns();
    expect(daily).toMatchObject({ outcome: 'failed', errorCode: '22012' });
    const { job } = await releases.get(RefreshService).status(VIEW);
    expect(job).toMatchObject({
      name: JOB,
      isActive: true,
      lastRun: {
        status: 'failed',
        message: expect.stringContaining('division by zero') as unknown,
      },
    });
    expect(job?.lastRun?.endedAt).toBeInstanceOf(Date);
    expect(await findings()).toMatchObject([
      {
        code: 'job-failing',
        view: VIEW,
        message: expect.stringContaining('division by zero') as unknown,
      },
      {
        code: 'job-failing',
        view: 'public.gated',
        fix: expect.stringContaining('pg_hba') as unknown,
      },
    ]);
    expect(await scheduledRuns('public.gated')).toEqual([]);
    await database.query(`SELECT cron.alter_job(jobid, active => false) FROM cron.job`);
    expect((await findings()).map(({ code }) => code)).toContain('job-inactive');
    await database.query('SELECT cron.unschedule(jobid) FROM cron.job');
    expect((await findings()).map(({ code }) => code)).toContain('job-missing');
  }, 180_000);

  it('runs no code that others have put in its way, with any settings of the role', async () => {
    await setTraps(database);
    await releases.start([DAILY], { application: 'shop' });
    await forgetTicks();
    const session = await database.session();
    await session.query(`SET search_path = public, pg_catalog`);
    await session.query(`SET default_transaction_isolation = 'serializable'`);
    await session.query(`SET default_transaction_read_only = on`);
    await session.query(`SET exit_on_error = on`);
    await session.query(`SET standard_conforming_strings = off`);
    await runJob(session);
    const { rows } = await session.query('SHOW search_path');
    expect(rows).toEqual([{ search_path: 'public, pg_catalog' }]);
    await session.end();
    expect(await scheduledRuns()).toMatchObject([{ outcome: 'refreshed' }]);
    await releases.get(RefreshService).status(VIEW);
    await releases.start([withRefresh(DAILY, {})], { application: 'shop' });
    await releases.start([DAILY], { application: 'shop' });
    await releases.get(SchemaService).drop(VIEW);
    expect(await jobs()).toEqual([]);
    expect(await trappedCount(database)).toBe(0);
  });
});
