import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { PostgresServer } from '../../../sample/support/postgres-server.js';
import { RefreshService } from '../../../lib/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { runMigrations } from '../../support/migration-runner.js';
import { CRON_DATABASE, HAS_PG_CRON, startPgCronServer } from '../../support/pg-cron-server.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const VIEW = 'public.limits';
const JOB = `materialized-view:${VIEW}`;

const LIMITS: TestView = {
  name: 'limits',
  expression: `SELECT id, current_setting('work_mem') AS memory FROM public.orders`,
  columns: ['id', 'memory'],
  key: ['id'],
  refresh: { cron: '0 0 1 1 *', scheduler: 'pg_cron', settings: { work_mem: '5MB' } },
};

const described = HAS_PG_CRON ? describe : describe.skip;

described('a refresh by pg_cron (features.md, row 9; needs Debian’s postgresql-15-cron)', () => {
  let server: PostgresServer;
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    server = await startPgCronServer();
    database = await TestDatabase.create(server.url, CRON_DATABASE);
    await database.query('CREATE EXTENSION pg_cron');
    await database.query('CREATE TABLE public.orders AS SELECT 1 AS id');
  });

  beforeEach(() => {
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.query('SELECT cron.unschedule(jobid) FROM cron.job');
    await database.query('DROP SCHEMA IF EXISTS materialized_views CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS limits');
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  const jobs = (): Promise<Record<string, unknown>[]> =>
    database.query('SELECT jobname::text AS name, schedule, command FROM cron.job ORDER BY 1');

  /** Runs the job's command, as pg_cron does at a tick. */
  const runJob = async (): Promise<void> => {
    await database.query(`UPDATE materialized_views.view_state SET last_tick = 'epoch'`);
    const [job] = await jobs();
    await database.query(job?.command as string);
  };

  it('has the settings of the view, which go with it', async () => {
    await releases.start([LIMITS]);
    await runJob();
    expect(await database.query('SELECT memory FROM limits')).toEqual([{ memory: '5MB' }]);
    expect(await database.query('SHOW work_mem')).toEqual([{ work_mem: '4MB' }]);
  });

  it('fills a view without data, which cannot be done concurrently', async () => {
    await releases.start([LIMITS]);
    await database.query('REFRESH MATERIALIZED VIEW limits WITH NO DATA');
    await runJob();
    expect((await releases.get(RefreshService).history(VIEW))[0]).toMatchObject({
      trigger: 'schedule',
      outcome: 'refreshed',
      mode: 'blocking',
      modeReason: 'unpopulated',
    });
  });

  it('waits no longer for another one than that may take', async () => {
    await releases.start([LIMITS], { statementTimeout: '1s', lockTimeout: 20 });
    const other = await database.session();
    await other.query('SELECT pg_advisory_lock($1)', [
      refreshLockKey({ schema: 'public', name: 'limits' }),
    ]);
    await expect(runJob()).rejects.toMatchObject({ code: '55P03' });
    await other.end();
    await runJob();
    const history = await releases.get(RefreshService).history(VIEW);
    expect(history.filter(({ trigger }) => trigger === 'schedule')).toHaveLength(1);
  });

  it('gets its earlier schedule back when a migration is undone', async () => {
    await releases.start([LIMITS]);
    const before = await jobs();
    const changed = { ...LIMITS, refresh: { ...LIMITS.refresh, cron: '@hourly', strict: true } };
    const schema = await releases.start([changed], { synchronize: 'verify' });
    const migration = await schema.generateMigration({ name: 'ChangeLimits' });
    await runMigrations(database, migration, async (dataSource) => {
      await dataSource.runMigrations();
      expect(await jobs()).toMatchObject([{ name: JOB, schedule: '0 * * * *' }]);
      await schema.verify();
      await dataSource.undoLastMigration();
      expect(await jobs()).toEqual(before);
    });
    await database.query('DROP TABLE IF EXISTS migrations');
  });

  it('leaves a job alone that somebody has made under its name', async () => {
    await database.query(`SELECT cron.schedule($1, '0 0 1 1 *', 'SELECT 1')`, [JOB]);
    const byHand = await jobs();
    const schema = await releases.start([{ ...LIMITS, refresh: {} }], { prune: true });
    expect(await schema.diff()).toEqual([]);
    expect(await jobs()).toEqual(byHand);
  });
});
