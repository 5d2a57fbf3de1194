import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DataSource, type MigrationInterface } from 'typeorm';
import {
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  type MigrationFile,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass, YEARLY } from '../../support/view-class.js';

type Options = Partial<MaterializedViewsModuleOptions>;

const ODD = `Odd "view'`;

const fresh: TestView = {
  name: ODD,
  schema: 'Far away',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
  refresh: { on: ['public.orders'], debounce: 0 },
};
const plain: TestView = { ...fresh, refresh: undefined };

describe('the record of which changes a view tracks', () => {
  let database: TestDatabase;
  let directory: string;
  const apps: TestingModule[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    directory = mkdtempSync(path.resolve('test/capture-migrations-'));
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
       CREATE SCHEMA public; CREATE SCHEMA "Far away";
       CREATE TABLE orders (id int); CREATE TABLE rates (id int)`,
    );
  });

  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  afterAll(async () => {
    rmSync(directory, { recursive: true });
    await database.drop();
  });

  async function start(views: TestView[], options: Options = {}): Promise<SchemaService> {
    const entities = views.map(viewClass) as (new () => object)[];
    const app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
    );
    apps.push(app);
    return app.get(SchemaService);
  }

  async function captured(): Promise<string[]> {
    const rows = await database.query<{ name: string }>(
      `SELECT DISTINCT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname LIKE 'materialized_views_capture%' ORDER BY 1`,
    );
    return rows.map(({ name }) => name);
  }

  /** Includes the row's `xmin`, which changes with every write. */
  async function remembered(): Promise<{ capture: unknown; xmin: string } | undefined> {
    const [row] = await database.query<{ capture: unknown; xmin: string }>(
      `SELECT capture, xmin::text FROM materialized_views.view_state WHERE view_name = $1`,
      [ODD],
    );
    return row;
  }

  const ORDERS = { reads_sources: false, tables: [{ schema: 'public', name: 'orders' }] };

  describe('while a deployment rolls', () => {
    it.each<[string, Options, TestView, TestView]>([
      ['that only creates', { synchronize: 'create' }, fresh, plain],
      ['that changes nothing', { synchronize: 'verify' }, fresh, plain],
      ['that leaves changes', { synchronize: true, onDrift: 'continue' }, fresh, plain],
      [
        'of a lower version',
        { synchronize: true },
        { ...fresh, version: 2 },
        { ...plain, version: 1 },
      ],
    ])('stays when an old release %s starts again', async (_, options, release, old) => {
      await start([release], { synchronize: true });
      await start([old], options);
      expect(await remembered()).toMatchObject({ capture: ORDERS });
      expect(await captured()).toEqual(['orders']);
      expect(await (await start([release], { synchronize: 'create' })).diff()).toEqual([]);
    });

    it('is not written again by the second boot of an old release', async () => {
      await start([fresh], { synchronize: 'create' });
      await start([plain], { synchronize: 'create' });
      const before = await remembered();
      await start([plain], { synchronize: 'create' });
      expect(await remembered()).toEqual(before);
    });

    it('has what both releases declare', async () => {
      await start([fresh], { synchronize: 'create' });
      const other = {
        ...fresh,
        refresh: { on: ['public.rates', 'public.orders'], cron: '@daily' },
      };
      const schema = await start([other], { synchronize: 'create' });
      const both = [
        { schema: 'public', name: 'orders' },
        { schema: 'public', name: 'rates' },
      ];
      expect((await remembered())?.capture).toEqual({ reads_sources: false, tables: both });
      expect(await captured()).toEqual(['orders', 'rates']);
      await start([{ ...fresh, refresh: { cron: YEARLY, skipUnchanged: true } }], {
        synchronize: 'create',
      });
      expect((await remembered())?.capture).toEqual({ reads_sources: true, tables: both });
      // Where changes are allowed, the declaration counts.
      expect(await schema.diff()).toContainEqual(
        expect.objectContaining({ view: `Far away.${ODD}`, kind: 'capture-record' }),
      );
      await schema.apply(await schema.plan());
      expect((await remembered())?.capture).toMatchObject({ reads_sources: false });
      await start([fresh], { synchronize: true });
      expect(await remembered()).toMatchObject({ capture: ORDERS });
      expect(await captured()).toEqual(['orders']);
    });

    it('does not need a missing table that no class names any more', async () => {
      await start([{ ...fresh, refresh: { on: ['public.orders', 'public.rates'] } }]);
      await database.query('DROP TABLE rates');
      await start([fresh], { synchronize: 'create' });
      expect(await captured()).toEqual(['orders']);
    });
  });

  it.each<[Options['synchronize']]>([[false], ['verify']])(
    'is not enough for a view that is declared to be told of more, with synchronize: %s',
    async (synchronize) => {
      const sum =
        'SELECT ((SELECT count(*) FROM public.orders) + (SELECT count(*) FROM public.rates))::int AS id';
      await start([{ ...fresh, expression: sum }]);
      await start([{ ...fresh, expression: sum, refresh: { cron: YEARLY, skipUnchanged: true } }], {
        synchronize,
      });
      const app = apps.at(-1) as TestingModule;
      const name = `Far away.${ODD}`;
      await app.get(RefreshService).refresh(name);
      await database.query('INSERT INTO rates VALUES (1)');
      const { changes } = await app.get(RefreshService).status(name);
      expect(changes).toMatchObject({ isUnchanged: false });
      const definition = definitionOf(app, name);
      const result = await managed(app).refresher.runner.run(tickRequest(definition, new Date()));
      expect(result).toMatchObject({ outcome: 'refreshed' });
    },
  );

  describe('by migrations', () => {
    async function load(file: MigrationFile | undefined): Promise<new () => MigrationInterface> {
      const target = path.join(directory, file?.fileName ?? 'none');
      writeFileSync(target, file?.source ?? '');
      const loaded = (await import(target)) as Record<string, new () => MigrationInterface>;
      const [migration] = Object.values(loaded);
      return migration as new () => MigrationInterface;
    }

    async function withMigrations(
      migration: new () => MigrationInterface,
      work: (dataSource: DataSource) => Promise<unknown>,
    ): Promise<void> {
      const dataSource = new DataSource({
        type: 'postgres',
        url: database.url,
        migrations: [migration],
      });
      await dataSource.initialize();
      await work(dataSource).finally(() => dataSource.destroy());
    }

    it.each<[Options['synchronize']]>([[false], ['verify']])(
      'is made and taken away, and a view follows writes with synchronize: %s',
      async (synchronize) => {
        await start([plain]);
        const schema = await start([fresh], { synchronize });
        const file = await schema.generateMigration({ name: `follow-${String(synchronize)}` });
        const migration = await load(file);
        await withMigrations(migration, (dataSource) => dataSource.runMigrations());
        expect(await schema.diff()).toEqual([]);

        await start([fresh], { synchronize, scheduling: true });
        await database.query('INSERT INTO orders VALUES (1)');
        await database.until(`SELECT FROM "Far away"."${ODD.replace('"', '""')}" WHERE id = 1`);

        await withMigrations(migration, (dataSource) => dataSource.undoLastMigration());
        expect((await remembered())?.capture).toBeNull();
        expect(await captured()).toEqual([]);
      },
    );

    it('follows a view to its new name, and back', async () => {
      await start([fresh]);
      const renamed = { ...fresh, name: 'renamed', renamedFrom: `Far away.${ODD}` };
      const schema = await start([renamed], { synchronize: false });
      const migration = await load(await schema.generateMigration({ name: 'rename' }));
      await withMigrations(migration, (dataSource) => dataSource.runMigrations());
      expect(
        await database.query('SELECT view_name, capture FROM materialized_views.view_state'),
      ).toEqual([{ view_name: 'renamed', capture: ORDERS }]);
      await withMigrations(migration, (dataSource) => dataSource.undoLastMigration());
      expect(await remembered()).toMatchObject({ capture: ORDERS });
    });

    it('is a difference even if all triggers exist', async () => {
      await start([{ ...fresh, name: 'other' }, plain]);
      const schema = await start([fresh], { synchronize: 'verify' });
      expect(await schema.diff()).toContainEqual({
        view: `Far away.${ODD}`,
        kind: 'capture-record',
        description: expect.stringContaining('does not track changes for it yet'),
      });
      const { steps } = await schema.plan();
      expect(steps.map(({ action }) => action)).toEqual(['record']);
      await start([fresh], { synchronize: 'create' });
      expect(await remembered()).toMatchObject({ capture: ORDERS });
    });
  });
});
