import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { RefreshService, SchemaService, SchemaSyncError } from '../../../lib/index.js';
import { runMigrations } from '../../support/migration-runner.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const mine: TestView = { name: 'of "shop"', schema: 'Odd schema', expression: 'SELECT 1 AS id' };
const theirs: TestView = { name: 'of_bank', expression: 'SELECT 2 AS id' };
const shared: TestView = { name: 'shared', expression: 'SELECT 3 AS id' };

const MINE = 'Odd schema.of "shop"';
const UNNAMED = undefined;

describe('applications with one stateSchema', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeEach(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.drop();
  });

  /** Boots a release of an application in place of the running one. */
  const start = (
    applicationName: string | undefined,
    views: TestView[],
    options: ModuleOptions = {},
  ): Promise<SchemaService> => releases.start(views, options, { applicationName });

  const views = async (): Promise<string[]> =>
    (
      await database.query<{ name: string }>(
        `SELECT relname AS name FROM pg_class WHERE relkind = 'm' ORDER BY relname`,
      )
    ).map(({ name }) => name);

  const holders = async (name: string | undefined): Promise<(string | null)[] | null | undefined> =>
    (
      await database.query<{ applications: (string | null)[] | null }>(
        'SELECT applications FROM materialized_views.view_state WHERE view_name = $1',
        [name],
      )
    )[0]?.applications;

  /** The state left by a release that did not yet record applications. */
  const forgetHolders = (): Promise<unknown> =>
    database.query('UPDATE materialized_views.view_state SET applications = NULL');

  it.each([
    ['bank', 'shop'],
    ['bank', UNNAMED],
    [UNNAMED, 'shop'],
  ])('of %s, a view is no orphan for %s', async (bank, shop) => {
    await start(bank, [theirs]);
    const schema = await start(shop, [mine], { prune: true });
    expect(releases.warnings.filter((text) => text.includes('of_bank'))).toEqual([]);
    expect(releases.reports[0]?.counts).toMatchObject({ created: 1, orphaned: 0, dropped: 0 });
    expect(await schema.diff()).toEqual([]);
    expect(await schema.plan()).toMatchObject({ steps: [], orphans: [] });
    expect(await schema.generateMigration({ name: 'Prune' })).toBeUndefined();
    await start(shop, [], { prune: true });
    expect(await views()).toContain('of_bank');
    expect(await holders('of_bank')).toEqual([bank ?? '']);
  });

  it('drops what only the application created, with a warning', async () => {
    await start('bank', [theirs]);
    await start('shop', [mine, shared]);
    const schema = await start('shop', [shared]);
    expect(releases.warnings).toContainEqual(
      `Materialized view "${MINE}" was created by this library, and no class declares it. Drop it with \`prune: true\` or SchemaService.apply.`,
    );
    expect(await schema.plan()).toMatchObject({ steps: [], orphans: [MINE] });
    await start('shop', [shared], { prune: true });
    expect(releases.warnings).toContainEqual(
      `Materialized view "${MINE}" was dropped: No class declares it any more`,
    );
    expect(releases.reports[0]).toMatchObject({
      views: [{ outcome: 'unchanged' }, { view: MINE, outcome: 'dropped' }],
      counts: { dropped: 1, changed: 0 },
    });
    expect(await views()).toEqual(['of_bank', 'shared']);
    // Dropping a view also deletes the record of which application created it.
    await database.query(`CREATE MATERIALIZED VIEW "Odd schema"."of ""shop""" AS SELECT 1 AS id`);
    await start('shop', [shared], { prune: true });
    expect(releases.reports[0]?.counts).toMatchObject({ orphaned: 0, dropped: 0 });
    expect(await views()).toEqual([mine.name, 'of_bank', 'shared']);
  });

  it('did not create a view that replaced its own after that was dropped by hand', async () => {
    await start('shop', [mine, shared]);
    await database.query('DROP MATERIALIZED VIEW shared');
    await start('shop', [mine]);
    await database.query('CREATE MATERIALIZED VIEW shared AS SELECT 4 AS id');
    await start('shop', [mine], { prune: true });
    expect(releases.reports[0]?.counts).toMatchObject({ orphaned: 0, dropped: 0 });
    expect(await views()).toEqual([mine.name, 'shared']);
    // Once a class declares the view, it belongs to the application again.
    await start('shop', [mine, shared]);
    await start('shop', [mine], { prune: true });
    expect(await views()).toEqual([mine.name]);
  });

  it('did not create a view that it found, declared otherwise and paused', async () => {
    await database.query('CREATE MATERIALIZED VIEW shared AS SELECT 4 AS id');
    await start('shop', [mine, shared], { synchronize: 'create' });
    await releases.get(RefreshService).pause('public.shared');
    await start('shop', [mine, shared], { synchronize: 'create' });
    expect(await holders('shared')).toEqual(['shop']);
    await start('shop', [mine], { prune: true });
    expect(releases.reports[0]?.counts).toMatchObject({ orphaned: 0, dropped: 0 });
    expect(await views()).toEqual([mine.name, 'shared']);
  });

  it('takes its name from the option before the data source', async () => {
    await start('web 7', [mine, shared], { application: 'shop' });
    expect(await holders('shared')).toEqual(['shop']);
    await start('web 8', [shared], { application: 'shop', prune: true });
    expect(await views()).toEqual(['shared']);
    expect(await holders('shared')).toEqual(['shop']);
  });

  it.each(['side-by-side', 'drop-and-create'] as const)(
    'has none of its orphans dropped without a name, %s',
    async (rebuildStrategy) => {
      await start(UNNAMED, [theirs]);
      await start(UNNAMED, [mine], { prune: true, rebuildStrategy });
      const changed = { ...mine, expression: 'SELECT 7 AS id' };
      const schema = await start('  ', [changed], { prune: true, rebuildStrategy });
      expect(await views()).toEqual([mine.name, 'of_bank']);
      const said = expect.stringMatching(
        /"public\.of_bank".*another application may.*name the application: with the option `application`, or `applicationName`/,
      );
      expect(releases.warnings).toContainEqual(said);
      expect(await schema.diff()).toMatchObject([{ view: 'public.of_bank', kind: 'orphan' }]);
      await schema.verify();
      for (const work of [
        () => schema.plan({ prune: true }),
        () => schema.generateMigration({ name: 'Prune', prune: true }),
      ]) {
        const before = releases.warnings.length;
        const made = await work();
        expect(JSON.stringify(made ?? {})).not.toContain('DROP');
        expect(releases.warnings.slice(before)).toEqual([said]);
      }
    },
  );

  it('of an older installation: unclaimed views cause a warning, and are never dropped', async () => {
    await start('bank', [theirs]);
    await start('shop', [mine, shared]);
    await forgetHolders();

    await start('shop', [mine], { prune: true });
    for (const view of ['public.of_bank', 'public.shared']) {
      expect(releases.warnings).toContainEqual(
        expect.stringMatching(new RegExp(`"${view}".*another application may.*by hand`)),
      );
    }
    expect(await views()).toEqual([mine.name, 'of_bank', 'shared']);
    expect(await holders(mine.name)).toEqual([null, 'shop']);

    await start('bank', [theirs]);
    await start('shop', [], { prune: true });
    expect(releases.warnings.join()).not.toContain('of_bank');
    expect(releases.warnings).toContainEqual(
      expect.stringMatching(/of "shop"".*another application may/),
    );
    expect(await views()).toEqual([mine.name, 'of_bank', 'shared']);

    // The statement of docs/operations/several-applications.md.
    await database.query(`UPDATE materialized_views.view_state SET applications = '{shop}'
      WHERE view_name <> 'of_bank'`);
    await start('shop', [], { prune: true });
    expect(await views()).toEqual(['of_bank']);
  });

  it('may share a view, until the last of them no longer declares it', async () => {
    await start('bank', [shared, theirs]);
    await start('shop', [shared, mine], { prune: true });
    expect(await holders('shared')).toEqual(['bank', 'shop']);
    await start('shop', [mine], { prune: true });
    expect(releases.warnings.join()).not.toContain('shared');
    expect(await holders('shared')).toEqual(['bank']);
    await start('bank', [theirs], { prune: true });
    expect(await views()).toEqual([mine.name, 'of_bank']);
  });

  it('writes nothing if nothing has changed', async () => {
    await start('bank', [shared]);
    await start('shop', [shared, mine]);
    const rows = (): Promise<unknown> =>
      database.query('SELECT xmin, ctid FROM materialized_views.view_state ORDER BY view_name');
    const before = await rows();
    await start('bank', [shared]);
    await start('shop', [shared, mine]);
    expect(await rows()).toEqual(before);
  });

  it.each(['create', 'verify'] as const)(
    "holds a view that '%s' leaves as it is",
    async (synchronize) => {
      await start('bank', [shared]);
      await start('shop', [{ ...shared, expression: 'SELECT 4 AS id' }], { synchronize });
      await start('bank', [], { prune: true });
      expect(await views()).toEqual(['shared']);
      expect(await holders('shared')).toEqual(['shop']);
    },
  );

  describe('SchemaService', () => {
    it('drops no view that another application holds', async () => {
      await start('bank', [shared]);
      const schema = await start('shop', [shared, mine]);
      const failure = await schema.drop('public.shared').catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SchemaSyncError);
      expect(failure).toMatchObject({
        view: 'public.shared',
        message: expect.stringMatching(/held by application "bank".*Nothing has been changed/),
      });
      await schema.drop(MINE);
      expect(releases.warnings).toContainEqual(`Materialized view "${MINE}" was dropped`);
      expect(await views()).toEqual(['shared']);
    });

    it('drops what no other application holds, and names the rest', async () => {
      await start(UNNAMED, [shared]);
      const above = { name: 'above', expression: 'SELECT id FROM public.shared' };
      const schema = await start('shop', [shared, mine, above]);
      await schema.dropAll();
      expect(await views()).toEqual(['shared']);
      expect(releases.warnings).toContainEqual(
        expect.stringMatching(/leaves .*"public\.shared".* an application without a name/),
      );
    });

    it('drops nothing below a view that stays', async () => {
      const above = { name: 'above', expression: 'SELECT id FROM public.shared' };
      await start('shop', [shared]);
      await start('bank', [above]);
      const schema = await start('shop', [shared]);
      await expect(schema.dropAll()).rejects.toThrow(/materialized view public\.above depends/);
      expect(await views()).toEqual(['above', 'shared']);
    });

    it('writes a migration that prunes what only the application created', async () => {
      await start('bank', [theirs]);
      await start('shop', [mine, shared]);
      const schema = await start('shop', [shared]);
      const file = await schema.generateMigration({ name: 'Prune', prune: true });
      await releases.stop();
      await runMigrations(database, file, async (dataSource) => {
        await dataSource.runMigrations();
        expect(await views()).toEqual(['of_bank', 'shared']);
        await dataSource.undoLastMigration();
        expect(await views()).toEqual([mine.name, 'of_bank', 'shared']);
      });
      await start('shop', [shared], { prune: true });
      expect(await views()).toEqual(['of_bank', 'shared']);
    });
  });

  it('renames no view that another application holds', async () => {
    await start('bank', [shared]);
    const renamed = { ...shared, name: 'renamed', renamedFrom: 'shared' };
    await start('shop', [renamed], { prune: true });
    expect(await views()).toEqual(['renamed', 'shared']);
    expect(await holders('shared')).toEqual(['bank']);
    expect(await holders('renamed')).toEqual(['shop']);
  });

  it.each([
    ['of its own', () => Promise.resolve(), ['shop']],
    ['of an older installation', forgetHolders, [null, 'shop']],
  ] as const)('renames a view %s', async (_, before, now) => {
    await start('shop', [shared]);
    await before();
    await start('shop', [{ ...shared, name: 'renamed', renamedFrom: 'shared' }], { prune: true });
    expect(await views()).toEqual(['renamed']);
    expect(await holders('renamed')).toEqual(now);
  });
});
