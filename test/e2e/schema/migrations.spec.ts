import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource, type MigrationInterface } from 'typeorm';
import {
  MaterializedViewsModule,
  type MigrationOptions,
  SchemaService,
} from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { loadMigration } from '../../support/migration-runner.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const daily: TestView = {
  name: 'daily',
  expression: "SELECT day, sum(amount) AS total, '`${a}\\\\' AS odd FROM orders GROUP BY day",
  columns: ['day', 'total', 'odd'],
  key: ['day'],
  comment: "The day's `total` \\ ${x}",
};

const weekly: TestView = {
  name: 'weekly',
  schema: 'Far away',
  expression: 'SELECT sum(total) AS total FROM public.daily',
  columns: ['total'],
  indexes: [{ name: 'weekly_total', keys: [{ property: 'total', order: 'DESC' }] }],
  storage: { fillfactor: 90 },
};

/** Each is one change to the `daily` and `weekly` above. */
const CHANGES: [string, TestView[]][] = [
  [
    'a definition below',
    [{ ...daily, expression: `${daily.expression} HAVING sum(amount) > 1` }, weekly],
  ],
  [
    'a definition on top',
    [daily, { ...weekly, expression: 'SELECT sum(total) + 1 AS total FROM public.daily' }],
  ],
  [
    'columns, read at once above',
    [
      {
        ...daily,
        expression: 'SELECT day, sum(amount) AS total, count(*) AS odd FROM orders GROUP BY day',
      },
      { ...weekly, expression: 'SELECT sum(odd) AS total FROM public.daily' },
    ],
  ],
  [
    'who reads whom',
    [
      { ...daily, expression: 'SELECT \'x\' AS day, total, 1 AS odd FROM "Far away".weekly' },
      { ...weekly, expression: 'SELECT sum(amount) AS total FROM public.orders' },
    ],
  ],
  [
    'indexes',
    [
      { ...daily, key: [], indexes: [{ name: 'daily_day', keys: ['day'], unique: true }] },
      { ...weekly, indexes: [{ name: 'weekly_total', keys: ['total'] }] },
    ],
  ],
  [
    'storage and comment',
    [
      { ...daily, comment: 'other', storage: { fillfactor: 50 } },
      { ...weekly, storage: { autovacuum_enabled: false } },
    ],
  ],
  [
    'a new view on top, and one in a new schema',
    [
      daily,
      weekly,
      { name: 'above', expression: 'SELECT total AS id FROM "Far away".weekly' },
      { name: 'new', schema: 'New one', expression: 'SELECT 1 AS id', withData: false },
    ],
  ],
  [
    'a name',
    [
      { ...daily, name: 'per_day', renamedFrom: 'daily' },
      { ...weekly, expression: 'SELECT sum(total) AS total FROM per_day' },
    ],
  ],
  ['a view that is gone', [daily]],
];

describe('generated migrations', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", "New one", public CASCADE`,
    );
    await database.query(`CREATE SCHEMA public`);
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, day text, amount int)`);
    await database.query(
      `INSERT INTO orders (day, amount) VALUES ('mon', 1), ('tue', 2), ('tue', 3)`,
    );
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  async function schemaOf(
    views: TestView[],
    options: Parameters<typeof MaterializedViewsModule.forRoot>[0] = {
      synchronize: 'verify',
      prune: true,
    },
  ): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    const entities = views.map(viewClass);
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: entities as (new () => object)[] }),
      MaterializedViewsModule.forRoot(options),
    );
    return app.get(SchemaService);
  }

  async function withMigrations(
    migrations: (new () => MigrationInterface)[],
    work: (dataSource: DataSource) => Promise<unknown>,
  ): Promise<void> {
    const dataSource = new DataSource({ type: 'postgres', url: database.url, migrations });
    await dataSource.initialize();
    try {
      await work(dataSource);
    } finally {
      await dataSource.destroy();
    }
  }

  it.each(CHANGES)('change %s, and change it back', async (what, views) => {
    await schemaOf([daily, weekly], { synchronize: true });
    await database.query(`GRANT SELECT ON daily TO PUBLIC`);
    await database.query(`COMMENT ON COLUMN daily.day IS 'by hand'`);
    await database.query(`CREATE INDEX by_hand ON "Far away".weekly (total) WHERE total > 5`);
    await database.query(`COMMENT ON INDEX daily_key IS 'the key'`);
    const before = await catalog(database);
    const schema = await schemaOf(views);
    const name = `Change-${what.replaceAll(/[^a-z]+/g, '-')}`;
    const migration = await loadMigration(await schema.generateMigration({ name }));

    await withMigrations([migration], (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
    expect(await schema.generateMigration({ name: 'again' })).toBeUndefined();
    expect(await catalog(database)).not.toEqual(before);
    await withMigrations([migration], (dataSource) => dataSource.undoLastMigration());
    expect(await catalog(database)).toEqual(before);
    await withMigrations([migration], (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
  });

  it('drop before they create, if there is no room for both', async () => {
    await schemaOf([daily, weekly], { synchronize: true });
    const before = await catalog(database);
    const [, views] = CHANGES[2] ?? ['', []];
    const schema = await schemaOf(views, {
      synchronize: 'verify',
      rebuildStrategy: 'drop-and-create',
    });
    const file = await schema.generateMigration({ name: 'inPlace' });
    expect(file?.source).not.toContain('mv_build_');
    const migration = await loadMigration(file);
    await withMigrations([migration], (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
    await withMigrations([migration], (dataSource) => dataSource.undoLastMigration());
    expect(await catalog(database)).toEqual(before);
  });

  it('create everything in an empty database, and remove it again', async () => {
    const schema = await schemaOf([daily, weekly], { synchronize: false });
    const before = await catalog(database);
    const migration = await loadMigration(await schema.generateMigration({ name: 'createViews' }));
    await withMigrations([migration], (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
    await withMigrations([migration], (dataSource) => dataSource.undoLastMigration());
    expect(await catalog(database)).toEqual(before);
    expect(await database.query(`SELECT FROM pg_namespace WHERE nspname = 'Far away'`)).toEqual([]);
    await withMigrations([migration], (dataSource) => dataSource.runMigrations());
    const again = await schemaOf([daily, weekly], { synchronize: true });
    expect(await again.diff()).toEqual([]);
    expect(await database.query('SELECT * FROM "Far away".weekly')).toEqual([{ total: '6' }]);
  });

  it.each<[string, Omit<MigrationOptions, 'name'>, RegExp, RegExp]>([
    [
      'TypeScript',
      {},
      /^5-create-views\.ts$/,
      /export class CreateViews5 implements MigrationInterface/,
    ],
    ['an ES module', { language: 'js' }, /^5-create-views\.js$/, /^export class CreateViews5 \{/m],
    [
      'CommonJS',
      { language: 'js', module: 'cjs' },
      /^5-create-views\.cjs$/,
      /module\.exports = \{ CreateViews5 \};/,
    ],
  ])('are written in %s', async (_, options, fileName, source) => {
    const schema = await schemaOf([daily], { synchronize: false });
    const file = await schema.generateMigration({ name: 'CreateViews', timestamp: 5, ...options });
    expect(file?.fileName).toMatch(fileName);
    expect(file?.source).toMatch(source);
    expect(file?.source).toMatch(
      /\* public\.daily: It is missing\. Its rows are computed\. Lock: none/,
    );
  });
});
