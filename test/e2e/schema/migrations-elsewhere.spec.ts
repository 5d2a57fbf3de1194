import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  type MaterializedViewsModuleOptions,
  type MigrationFile,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

/** What both databases contained before the library was used. */
const BEFORE = [
  'CREATE TABLE orders (day text, amount int)',
  `INSERT INTO orders VALUES ('mon', 1)`,
  'CREATE MATERIALIZED VIEW old_daily AS SELECT day, sum(amount) AS total FROM orders GROUP BY day',
  'CREATE MATERIALIZED VIEW plain AS SELECT count(*) AS id FROM orders',
];

const Daily = viewClass({
  name: 'daily',
  renamedFrom: 'old_daily',
  expression: 'SELECT day, sum(amount) AS total FROM orders GROUP BY day',
  columns: ['day', 'total'],
  refresh: { on: 'sources' },
});

const Plain = viewClass({ name: 'plain', expression: 'SELECT count(*) + 1 AS id FROM orders' });

const New = viewClass({
  schema: 'New one',
  name: 'new "view"',
  expression: 'SELECT amount AS id FROM public.orders',
  refresh: { on: 'sources', skipUnchanged: true },
});

const views = [Daily, Plain, New];

describe('a generated migration', () => {
  let here: TestDatabase;
  let elsewhere: TestDatabase;
  let app: TestingModule | undefined;

  beforeEach(async () => {
    [here, elsewhere] = await Promise.all([TestDatabase.create(), TestDatabase.create()]);
    for (const statement of BEFORE) {
      await here.query(statement);
      await elsewhere.query(statement);
    }
  });

  afterEach(async () => {
    await stop();
    await here.drop();
    await elsewhere.drop();
  });

  const stop = async (): Promise<void> => {
    await app?.close();
    app = undefined;
  };

  const generate = async (
    options: MaterializedViewsModuleOptions,
  ): Promise<MigrationFile | undefined> => {
    app = await bootWith(here, { views, scheduling: false, ...options });
    const file = await app.get(SchemaService).generateMigration({ name: 'release' });
    await stop();
    return file;
  };

  const relations = (): Promise<unknown[]> =>
    elsewhere.query(
      `SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind = 'm' ORDER BY 1, 2`,
    );

  it.each<MaterializedViewsModuleOptions>([
    { synchronize: 'verify' },
    { synchronize: 'verify', wakeUp: 'notify' },
    { synchronize: false },
    { synchronize: false, wakeUp: 'notify', rebuildStrategy: 'drop-and-create' },
    { synchronize: true, onDrift: 'continue' },
    { synchronize: 'create' },
  ])('runs where the library has never been, written under %j', async (options) => {
    // A boot that may create missing views has already created them, so they are not in the migration.
    const file = await generate(options);
    const before = await relations();
    await runMigrations(elsewhere, file, async (dataSource) => {
      await dataSource.runMigrations();
      await dataSource.undoLastMigration();
      expect(await relations()).toEqual(before);
      await dataSource.runMigrations();
    });
    const { wakeUp, synchronize } = options;
    app = await bootWith(elsewhere, { views, scheduling: false, synchronize: false, wakeUp });
    const left = await app.get(SchemaService).diff();
    if (synchronize === true || synchronize === 'create') {
      expect(left.filter(({ view }) => view === 'public.plain')).toEqual([]);
      return;
    }
    // A boot sets up how writers notify, unless `synchronize: false` leaves everything to migrations.
    expect(left.filter(({ kind }) => synchronize === false || kind !== 'wake-up')).toEqual([]);
    expect(await app.get(RefreshService).refresh(New)).toMatchObject({ outcome: 'refreshed' });
    await elsewhere.query(`INSERT INTO orders VALUES ('tue', 2)`);
    const captured = `SELECT FROM materialized_views.change_log WHERE source = 'public.orders'::regclass`;
    expect(await elsewhere.query(captured)).toHaveLength(1);
  });

  it('upgrades the tables of an older release, although it was generated with new ones', async () => {
    await elsewhere.query('CREATE SCHEMA materialized_views');
    await elsewhere.query(
      `CREATE TABLE materialized_views.installation (version int PRIMARY KEY, installed_at timestamptz NOT NULL DEFAULT now())`,
    );
    const file = await generate({ synchronize: 'verify' });
    await runMigrations(elsewhere, file, (dataSource) => dataSource.runMigrations());
    app = await bootWith(elsewhere, { views, scheduling: false, synchronize: false });
    expect(await app.get(SchemaService).diff()).toEqual([]);
  });

  it('does not mention these tables if it does not need them', async () => {
    app = await bootWith(here, { views: [Plain], scheduling: false, synchronize: 'verify' });
    const file = await app.get(SchemaService).generateMigration({ name: 'release' });
    expect(file?.source).toContain('plain');
    expect(file?.source).not.toMatch(/view_state|change_log/);
  });

  it('is advised if a process that creates nothing lacks them', async () => {
    app = await bootWith(here, { views: [Plain], scheduling: false, synchronize: false });
    const failure = await app
      .get(RefreshService)
      .refresh(Plain)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ hint: expect.stringMatching(/generateMigration/) });
    const file = await app.get(SchemaService).generateMigration({ name: 'release' });
    await runMigrations(here, file, (dataSource) => dataSource.runMigrations());
    expect(await app.get(RefreshService).refresh(Plain)).toMatchObject({ outcome: 'refreshed' });
  });
});
