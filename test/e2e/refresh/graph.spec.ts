import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  defineMaterializedView,
  DependencyCycleError,
  type GraphReport,
  MaterializedViewsModule,
  RefreshError,
  RefreshGraphError,
  RefreshService,
  RefreshStoppedError,
  UnknownViewError,
  type ViewClass,
  ViewMissingError,
  ViewQueryError,
} from '../../../lib/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { boot, bootWith, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const view = (name: string, expression: string, dependsOn: ViewClass[] = []): ViewClass =>
  defineMaterializedView({ name, schema: 'eu', expression, columns: ['n'], dependsOn });

/*
 * source -> Base -> plain -> Middle -> Top
 *                         -> Side   -> Top      Base -> (a function) -> Hidden
 * source -> Inverse -> OfInverse -> Top       source -> Apart
 */
const BASE = 'Graph eu.base "view"';
const Base = defineMaterializedView({
  name: 'base "view"',
  schema: 'Graph eu',
  expression: 'SELECT n FROM public.source WHERE public.gate()',
  columns: ['n'],
});
const Middle = view('middle', 'SELECT max(n) AS n FROM public."Plain. view"');
const Side = view('side', 'SELECT min(n) AS n FROM public."Plain. view"');
const Inverse = view('inverse', 'SELECT 100 / n AS n FROM public.source');
const OfInverse = view('of_inverse', 'SELECT max(n) AS n FROM eu.inverse');
const Top = view(
  'top',
  'SELECT m.n FROM eu.middle m CROSS JOIN eu.side s CROSS JOIN eu.of_inverse i',
);
const Apart = view('apart', 'SELECT count(*)::int AS n FROM public.source');
const Hidden = view('hidden', 'SELECT n FROM public.base_rows() AS n', [Base]);
const ALL = [Top, Hidden, Apart, OfInverse, Side, Middle, Inverse, Base];

describe('refreshing several views', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;

  const start = async (views: ViewClass[], poolSize = 4): Promise<void> => {
    app = await bootWith(database, { views, poolSize });
    refreshes = app.get(RefreshService);
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
    await database.query('CREATE TABLE source (n int)');
    await start([Base]);
    await app.close();
    await database.query(`CREATE VIEW "Plain. view" AS SELECT n FROM "Graph eu"."base ""view"""`);
    await database.query(`CREATE FUNCTION base_rows() RETURNS SETOF int LANGUAGE plpgsql STABLE
      AS $$ BEGIN RETURN QUERY SELECT n FROM "Graph eu"."base ""view"""; END $$`);
    await start(ALL);
    await app.close();
  });

  beforeEach(async () => {
    await database.query('TRUNCATE source, materialized_views.refresh_history');
    await database.query('INSERT INTO source VALUES (5)');
    await start(ALL);
  });

  afterEach(async () => {
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const names = (report: GraphReport): string[] => report.views.map((each) => each.view);
  const sorted = (report: GraphReport): string[] => names(report).sort();
  const outcomes = (report: GraphReport): Record<string, string> =>
    Object.fromEntries(report.views.map((each) => [each.view, each.outcome]));
  const valueOf = async (name: string): Promise<unknown> =>
    (await database.query(`SELECT n FROM ${name}`))[0]?.n;
  const failureOf = (refresh: Promise<unknown>): Promise<RefreshGraphError> =>
    refresh.then(
      () => Promise.reject(new Error('It was expected to fail')),
      (error: unknown) => error as RefreshGraphError,
    );
  const historyRuns = (): Promise<{ view_name: string }[]> =>
    database.query('SELECT view_name FROM materialized_views.refresh_history ORDER BY finished_at');

  it('refreshes all in the order of their graph, each once', async () => {
    const report = await refreshes.refreshAll();
    expect(sorted(report)).toEqual([
      BASE,
      'eu.apart',
      'eu.hidden',
      'eu.inverse',
      'eu.middle',
      'eu.of_inverse',
      'eu.side',
      'eu.top',
    ]);
    expect(report.counts).toMatchObject({ refreshed: 8, failed: 0, upstream_failed: 0 });
    expect(report.durationMs).toBeGreaterThan(0);
    expect(report.views[0]).toMatchObject({
      dataSource: 'default',
      outcome: 'refreshed',
      result: { outcome: 'refreshed', mode: 'blocking' },
    });
    expect(await historyRuns()).toHaveLength(8);
    // The latest row of the table has reached the top.
    expect([await valueOf('eu.top'), await valueOf('eu.hidden')]).toEqual([5, 5]);
    await database.query('UPDATE source SET n = 7');
    await refreshes.refreshAll({ concurrency: 1 });
    expect([await valueOf('eu.top'), await valueOf('eu.hidden')]).toEqual([7, 7]);
  });

  it('refreshes only the named ones, in the order of paths through others', async () => {
    const report = await refreshes.refreshMany([Top, BASE, Top]);
    expect(names(report)).toEqual([BASE, 'eu.top']);
    expect((await historyRuns()).map((run) => run.view_name)).toEqual(['base "view"', 'top']);
    expect(names(await refreshes.refreshMany([]))).toEqual([]);
  });

  it.each([
    ['dependencies', [BASE, 'eu.middle']],
    ['dependents', ['eu.middle', 'eu.top']],
    ['both', [BASE, 'eu.middle', 'eu.top']],
  ] as const)('cascades to %s and to no others', async (cascade, expected) => {
    expect(names(await refreshes.refreshMany([Middle], { cascade }))).toEqual(expected);
    expect(await historyRuns()).toHaveLength(expected.length);
  });

  it('cascades through plain views and declared dependencies', async () => {
    const report = await refreshes.refreshMany([Base], { cascade: 'dependents' });
    expect(sorted(report)).toEqual([BASE, 'eu.hidden', 'eu.middle', 'eu.side', 'eu.top']);
    expect(names(report)[0]).toBe(BASE);
    const below = await refreshes.refreshMany([Side, Hidden], { cascade: 'dependencies' });
    expect(sorted(below)).toEqual([BASE, 'eu.hidden', 'eu.side']);
  });

  it('reads the catalog when called', async () => {
    await database.query('CREATE OR REPLACE VIEW "Plain. view" AS SELECT n FROM eu.apart');
    try {
      const report = await refreshes.refreshMany([Side], { cascade: 'dependencies' });
      expect(names(report)).toEqual(['eu.apart', 'eu.side']);
    } finally {
      await database.query(
        `CREATE OR REPLACE VIEW "Plain. view" AS SELECT n FROM "Graph eu"."base ""view"""`,
      );
    }
  });

  it('leaves out what depends on a failed view, lets the rest finish, and then says so', async () => {
    await database.query('INSERT INTO source VALUES (0)');
    const errors: string[] = [];
    app.useLogger({ error: (message: string) => errors.push(message), log() {}, warn() {} });
    const error = await failureOf(refreshes.refreshAll());
    expect(errors).toEqual([expect.stringMatching(/by graph in \d+ ms\. 8 views: 5 refreshed, /)]);
    expect(error).toBeInstanceOf(RefreshGraphError);
    expect(error).toBeInstanceOf(RefreshError);
    expect(error.code).toBe('MV_GRAPH_FAILED');
    expect(error.message).toContain('8 views: 5 refreshed, 1 failed, 2 upstream_failed');
    expect(error.message).toContain('Failed: "eu.inverse" (MV_VIEW_QUERY_FAILED)');
    expect(error.message).toMatch(/Left out because of that: "eu\.of_inverse", "eu\.top"/);
    expect(error.cause).toBeInstanceOf(ViewQueryError);
    expect(outcomes(error.report)).toMatchObject({
      'eu.inverse': 'failed',
      'eu.of_inverse': 'upstream_failed',
      'eu.top': 'upstream_failed',
    });
    expect(error.report.views.find((each) => each.view === 'eu.top')).toEqual({
      view: 'eu.top',
      dataSource: 'default',
      outcome: 'upstream_failed',
      failedDependencies: ['eu.inverse'],
    });
    expect(await valueOf('eu.apart')).toBe(2);
  });

  it('only reports failures if requested', async () => {
    await database.query('INSERT INTO source VALUES (0)');
    const report = await refreshes.refreshMany([OfInverse, Inverse, Apart], {
      throwOnFailure: false,
    });
    expect(report.counts).toMatchObject({ refreshed: 1, failed: 1, upstream_failed: 1 });
    const [failed] = report.views.filter((each) => each.outcome === 'failed');
    expect(failed).toMatchObject({ view: 'eu.inverse' });
    expect(failed?.error).toBeInstanceOf(ViewQueryError);
  });

  it('fails a view that is missing in the database with its own error', async () => {
    await database.query('DROP MATERIALIZED VIEW eu.top');
    const { report } = await failureOf(refreshes.refreshMany([Top, Apart]));
    expect(outcomes(report)).toEqual({ 'eu.top': 'failed', 'eu.apart': 'refreshed' });
    expect(report.views.find((each) => each.outcome === 'failed')?.error).toBeInstanceOf(
      ViewMissingError,
    );
  });

  it('counts a skipped view as done', async () => {
    const other = await database.session();
    await other.query('BEGIN');
    await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [
      refreshLockKey({ schema: 'eu', name: 'middle' }),
    ]);
    const report = await refreshes.refreshMany([Top, Middle], { onBusy: 'skip' });
    expect(report.views).toEqual([
      expect.objectContaining({
        view: 'eu.middle',
        outcome: 'skipped',
        result: expect.objectContaining({ reason: 'busy' }),
      }),
      expect.objectContaining({ view: 'eu.top', outcome: 'refreshed' }),
    ]);
    await other.end();
  });

  it('starts a view as soon as its own dependencies are done, whatever else is running', async () => {
    const gate = await database.closeGate();
    const running = refreshes.refreshAll({ concurrency: 2 });
    await gate.untilReached();
    await database.until(
      `SELECT FROM materialized_views.refresh_history WHERE view_name = 'of_inverse'`,
    );
    expect((await historyRuns()).map((run) => run.view_name)).not.toContain('base "view"');
    await gate.open();
    expect((await running).counts.refreshed).toBe(8);
  });

  const gated = ['one', 'two', 'three', 'four'].map((name) =>
    view(name, 'SELECT 1 AS n WHERE public.gate()'),
  );

  it.each([
    ['the option', { concurrency: 2 }, 4],
    ['the size of the pool', {}, 2],
  ])('refreshes no more at a time than %s allows', async (_, options, poolSize) => {
    await app.close();
    await start(gated, poolSize);
    await database.query('TRUNCATE materialized_views.refresh_history');
    const gate = await database.closeGate();
    const running = refreshes.refreshAll(options);
    await gate.untilReached(2);
    await gate.open();
    expect((await running).counts.refreshed).toBe(4);
    const [overlap] = await database.query(
      `SELECT max((SELECT count(*) FROM materialized_views.refresh_history other
                   WHERE other.started_at <= run.started_at AND other.finished_at >= run.started_at
             ))::int AS count
       FROM materialized_views.refresh_history run`,
    );
    expect(overlap).toEqual({ count: 2 });
  });

  it('begins with the longest remaining path, by recent durations', async () => {
    const remember = (name: string, outcome: string, seconds: number): Promise<unknown> =>
      database.query(
        `INSERT INTO materialized_views.refresh_history
           (run_id, schema_name, view_name, trigger, outcome, started_at, finished_at, host)
         VALUES (gen_random_uuid(), 'eu', $1, 'demand', $2, now(), now() + $3 * interval '1 s', '')`,
        [name, outcome, seconds],
      );
    const order = async (): Promise<string[]> => {
      const inOrder = names(
        await refreshes.refreshMany([Apart, Inverse, OfInverse], { concurrency: 1 }),
      );
      await database.query('DELETE FROM materialized_views.refresh_history');
      return inOrder;
    };
    await remember('apart', 'refreshed', 30);
    await remember('inverse', 'refreshed', 10);
    await remember('of_inverse', 'refreshed', 10);
    expect(await order()).toEqual(['eu.apart', 'eu.inverse', 'eu.of_inverse']);

    await remember('apart', 'refreshed', 30);
    await remember('inverse', 'refreshed', 10);
    await remember('of_inverse', 'refreshed', 25);
    expect(await order()).toEqual(['eu.inverse', 'eu.apart', 'eu.of_inverse']);

    // Durations of failures don't count. An unknown duration is taken to be the mean of the known ones.
    await remember('apart', 'failed', 900);
    await remember('inverse', 'refreshed', 1);
    await remember('of_inverse', 'refreshed', 3);
    expect(await order()).toEqual(['eu.inverse', 'eu.of_inverse', 'eu.apart']);
  });

  it('begins nothing once the signal is aborted', async () => {
    const gate = await database.closeGate();
    const stop = new AbortController();
    const running = failureOf(
      refreshes.refreshMany([Base, Side], { concurrency: 1, signal: stop.signal }),
    );
    await gate.untilReached();
    stop.abort();
    await gate.open();
    const { report } = await running;
    expect(report.views[1]).toEqual({ view: 'eu.side', dataSource: 'default', outcome: 'aborted' });

    const signal = AbortSignal.abort();
    const none = await refreshes.refreshMany([Apart, Side], { signal, throwOnFailure: false });
    expect(none.counts).toMatchObject({ aborted: 2, refreshed: 0 });
    expect((await historyRuns()).map((run) => run.view_name)).not.toContain('apart');
  });

  it('ends with the application, and reports what was not begun', async () => {
    const gate = await database.closeGate();
    const running = failureOf(refreshes.refreshMany([Base, Apart, Inverse], { concurrency: 1 }));
    await gate.untilReached();
    const closing = app.close();
    let isStopped = false;
    while (!isStopped) {
      isStopped = await refreshes.refresh(OfInverse).then(
        () => false,
        () => true,
      );
    }
    await gate.open();
    const { report } = await running;
    expect(report.counts).toMatchObject({ refreshed: 1, failed: 2 });
    for (const failed of report.views.filter((each) => each.outcome === 'failed')) {
      expect(failed.error).toBeInstanceOf(RefreshStoppedError);
    }
    await closing;
  });

  it('refuses wrong arguments before it refreshes anything', async () => {
    const refused = async (options: object, message: RegExp): Promise<void> => {
      await expect(refreshes.refreshMany([Apart], options)).rejects.toThrow(message);
      await expect(refreshes.refreshAll(options)).rejects.toThrow(message);
    };
    await refused({ concurrency: 0 }, /expected `concurrency` to be a whole number .*, got 0/);
    await refused({ throwOnFailure: 'no' }, /expected `throwOnFailure` to be true or false/);
    await refused({ onBusy: 'dance' }, /expected `onBusy`/);
    await expect(refreshes.refreshMany([Apart], { cascade: 'up' as never })).rejects.toThrow(
      /expected `cascade` to be 'dependencies', 'dependents' or 'both', got "up"/,
    );
    await expect(refreshes.refreshMany([Apart, 'eu.unknown'])).rejects.toThrow(UnknownViewError);
    await expect(refreshes.refreshAll({ dataSource: 'elsewhere' })).rejects.toThrow(
      /No materialized view is registered in data source "elsewhere"/,
    );
    expect(await historyRuns()).toEqual([]);
  });

  it('refuses a circle, and names its views', async () => {
    await app.close();
    const First = view('inverse', 'SELECT 1 AS n', [OfInverse]);
    app = await bootWith(database, { views: [First, OfInverse, Apart], synchronize: false });
    refreshes = app.get(RefreshService);
    const failure = refreshes.refreshAll().catch((error: unknown) => error);
    expect(await failure).toBeInstanceOf(DependencyCycleError);
    expect(String(await failure)).toMatch(/circle.*: ("eu\.(of_)?inverse"(, )?){2}\. Nothing/);
    expect(await historyRuns()).toEqual([]);
  });
});

describe('refreshing the views of several data sources', () => {
  let databases: TestDatabase[];
  let app: TestingModule;
  let refreshes: RefreshService;

  beforeAll(async () => {
    databases = [await TestDatabase.create(), await TestDatabase.create()];
    for (const database of databases) {
      await database.query('CREATE TABLE public.source AS SELECT 4 AS n');
    }
    const [main, reporting] = databases as [TestDatabase, TestDatabase];
    const entities = [Inverse, OfInverse] as (new () => object)[];
    app = await boot(
      typeOrm(main, { autoLoadEntities: false, entities }),
      typeOrm(reporting, { autoLoadEntities: false, entities, name: 'reporting' }),
      MaterializedViewsModule.forRoot({ views: [Inverse, OfInverse], scheduling: false }),
      MaterializedViewsModule.forFeature([Inverse, OfInverse], 'reporting'),
    );
    refreshes = app.get(RefreshService);
  });

  afterAll(async () => {
    await app.close();
    await Promise.all(databases.map((database) => database.drop()));
  });

  it('refreshes all of them, or those of one', async () => {
    const of = ({ views }: GraphReport, name: string): string[] =>
      views.filter((each) => each.dataSource === name).map((each) => each.view);
    const report = await refreshes.refreshAll();
    expect(of(report, 'default')).toEqual(['eu.inverse', 'eu.of_inverse']);
    expect(of(report, 'reporting')).toEqual(['eu.inverse', 'eu.of_inverse']);

    const one = await refreshes.refreshAll({ dataSource: 'reporting' });
    expect([of(one, 'default'), of(one, 'reporting')]).toEqual([
      [],
      ['eu.inverse', 'eu.of_inverse'],
    ]);
    const dataSource = 'reporting';
    const cascaded = await refreshes.refreshMany([Inverse], { dataSource, cascade: 'both' });
    expect(of(cascaded, 'reporting')).toEqual(['eu.inverse', 'eu.of_inverse']);
  });

  it('goes on in one if the other cannot be read', async () => {
    await databases[1]?.query('ALTER TABLE materialized_views.refresh_history RENAME TO away');
    const error = await refreshes.refreshAll().catch((failure: unknown) => failure);
    expect(error).toBeInstanceOf(RefreshGraphError);
    const { report } = error as RefreshGraphError;
    expect(report.counts).toMatchObject({ refreshed: 2, failed: 2 });
    for (const failed of report.views.filter((each) => each.outcome === 'failed')) {
      expect(failed.dataSource).toBe('reporting');
      expect(failed.error.message).toContain("the library's own tables are missing or damaged");
    }
  });
});
