import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { MaterializedViewsModule, type MigrationFile, SchemaService } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootRelease } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView } from '../../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

const FAR = '"Far away"."Per day"';

const views = (factor: number): TestView[] => [
  {
    name: 'Per day',
    schema: 'Far away',
    expression: `SELECT day, sum(amount) * ${factor} AS total FROM orders GROUP BY day`,
    columns: ['day', 'total'],
    indexes: [{ name: 'per_day_key', keys: ['day'], unique: true }],
  },
  {
    name: 'above',
    expression: `SELECT sum(total) AS id FROM ${FAR}`,
  },
];

/** What is added by hand after a migration was generated and before it runs. */
const ADDED = [
  `GRANT SELECT ON ${FAR} TO late_reader WITH GRANT OPTION`,
  `GRANT SELECT (total) ON ${FAR} TO PUBLIC`,
  `GRANT SELECT ON above TO late_reader`,
  `COMMENT ON MATERIALIZED VIEW ${FAR} IS 'it''s late'`,
  `COMMENT ON COLUMN ${FAR}.total IS 'in $1'`,
  `COMMENT ON INDEX "Far away".per_day_key IS 'the key'`,
  `CREATE INDEX late ON ${FAR} (total DESC) WHERE total > 1`,
  `COMMENT ON INDEX "Far away".late IS 'by hand'`,
  `ALTER MATERIALIZED VIEW ${FAR} SET (fillfactor = 55)`,
  `ALTER MATERIALIZED VIEW ${FAR} ALTER COLUMN total SET STATISTICS 77`,
  `ALTER MATERIALIZED VIEW ${FAR} ALTER COLUMN total SET (n_distinct = 5)`,
  `ALTER MATERIALIZED VIEW ${FAR} CLUSTER ON per_day_key`,
  `CREATE STATISTICS "Late stats" (ndistinct) ON day, total FROM ${FAR}`,
  `COMMENT ON STATISTICS "Late stats" IS 'both'`,
];

describe('migrations of databases that have changed since', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE ROLE late_reader');
    await database.query('CREATE ROLE late_owner');
  });

  beforeEach(async () => {
    await database.query(
      'DROP SCHEMA IF EXISTS materialized_views, "Far away", "Nearby", public CASCADE',
    );
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE TABLE orders (day text, amount int)');
    await database.query(`INSERT INTO orders VALUES ('mon', 1), ('tue', 2), ('tue', 3)`);
    await database.query('GRANT ALL ON orders TO late_owner');
    await database.query('GRANT CREATE, USAGE ON SCHEMA public TO late_owner');
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.query('DROP OWNED BY late_reader, late_owner');
    await database.query('DROP ROLE late_reader');
    await database.query('DROP ROLE late_owner');
    await database.drop();
  });

  async function release(declared: TestView[], options: Options = {}): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    app = await bootRelease(database, declared, { prune: true, ...options });
    return app.get(SchemaService);
  }

  async function migrationTo(
    declared: TestView[],
    options: Options = {},
  ): Promise<[MigrationFile | undefined, SchemaService]> {
    const schema = await release(declared, { synchronize: 'verify', ...options });
    return [await schema.generateMigration({ name: 'later' }), schema];
  }

  const up = (file: MigrationFile | undefined): Promise<void> =>
    runMigrations(database, file, (dataSource) => dataSource.runMigrations());
  const down = (file: MigrationFile | undefined): Promise<void> =>
    runMigrations(database, file, (dataSource) => dataSource.undoLastMigration());

  it.each<[string, Options]>([
    ['side by side', {}],
    ['in place', { rebuildStrategy: 'drop-and-create' }],
  ])('keep what was added before they run, up and down, %s', async (_, options) => {
    await release(views(1));
    const [file, schema] = await migrationTo(views(2), options);
    for (const statement of ADDED) {
      await database.query(statement);
    }
    const before = await catalog(database);
    await up(file);
    expect(await schema.diff()).toEqual([]);
    const definitions = /\* 2/;
    expect(withoutDefinitions(await catalog(database))).toEqual(withoutDefinitions(before));
    expect(JSON.stringify(await catalog(database))).toMatch(definitions);
    await down(file);
    expect(await catalog(database)).toEqual(before);
    await up(file);
    expect(withoutDefinitions(await catalog(database))).toEqual(withoutDefinitions(before));
  });

  it.each<[string, Options]>([
    ['side by side', {}],
    ['in place', { rebuildStrategy: 'drop-and-create' }],
  ])('keep it where the view comes to another schema, %s', async (_, options) => {
    await release(views(1));
    const [first, above] = views(2) as [TestView, TestView];
    const moved = { ...first, schema: 'Nearby', renamedFrom: 'Far away.Per day' };
    const [file] = await migrationTo(
      [moved, { ...above, expression: 'SELECT sum(total) AS id FROM "Nearby"."Per day"' }],
      options,
    );
    for (const statement of ADDED) {
      await database.query(statement);
    }
    const before = await catalog(database);
    await up(file);
    expect(
      await database.query(`
        SELECT obj_description('"Nearby".per_day_key'::regclass) AS own, obj_description('"Nearby".late'::regclass) AS late,
               (SELECT indisclustered FROM pg_index WHERE indexrelid = '"Nearby".per_day_key'::regclass) AS clustered`),
    ).toEqual([{ own: 'the key', late: 'by hand', clustered: true }]);
    await down(file);
    expect(await catalog(database)).toEqual(before);
  });

  it('keep in their down what was added after they ran', async () => {
    await release(views(1));
    const [file] = await migrationTo(views(2));
    await up(file);
    for (const statement of ADDED) {
      await database.query(statement);
    }
    const added = withoutDefinitions(await catalog(database));
    await down(file);
    expect(withoutDefinitions(await catalog(database))).toEqual(added);
  });

  it.each([
    [
      'a definition',
      `DROP MATERIALIZED VIEW above; CREATE MATERIALIZED VIEW above AS SELECT 1::numeric AS id`,
      /new: DEFINITION "public"\."above" SELECT/,
    ],
    [
      'an owner',
      `ALTER MATERIALIZED VIEW above OWNER TO late_owner`,
      /new: ALTER MATERIALIZED VIEW "public"\."above" OWNER TO late_owner/,
    ],
    [
      'a grant that was taken back',
      `REVOKE SELECT ON above FROM late_reader`,
      /gone: GRANT SELECT ON "public"\."above" TO late_reader/,
    ],
    [
      'an index that was dropped',
      `DROP INDEX "Far away".per_day_key`,
      /gone: CREATE UNIQUE INDEX per_day_key ON/,
    ],
    [
      'a comment',
      `COMMENT ON MATERIALIZED VIEW above IS 'other'`,
      /gone: COMMENT ON MATERIALIZED VIEW "public"\."above" IS 'first'/,
    ],
    [
      'a view that was dropped',
      `DROP MATERIALIZED VIEW above`,
      /gone: DEFINITION "public"\."above"/,
    ],
  ])('stop before they change anything, and say why: %s', async (_, statement, said) => {
    await release(views(1));
    await database.query('GRANT SELECT ON above TO late_reader');
    await database.query(`COMMENT ON MATERIALIZED VIEW above IS 'first'`);
    const [file] = await migrationTo(views(2));
    await database.client.query(statement);
    const before = await catalog(database);
    await expect(up(file)).rejects.toThrow(said);
    await expect(up(file)).rejects.toThrow(/Nothing has been changed/);
    expect(await catalog(database)).toEqual(before);
  });

  it('stop if a dropped view has something that down would not restore', async () => {
    await release(views(1));
    const [file] = await migrationTo(views(1).slice(0, 1));
    await database.query('CREATE INDEX late ON above (id)');
    const before = await catalog(database);
    await expect(up(file)).rejects.toThrow(/new: CREATE INDEX late ON "public"\."above"/);
    expect(await catalog(database)).toEqual(before);
  });

  it('stop in their down if a grant was revoked, or the definition differs', async () => {
    await release(views(1));
    await database.query('GRANT SELECT ON above TO late_reader');
    const [file] = await migrationTo(views(2));
    await up(file);
    await database.query('REVOKE SELECT ON above FROM late_reader');
    await expect(down(file)).rejects.toThrow(/gone: GRANT SELECT ON "public"\."above"/);
    await database.query('GRANT SELECT ON above TO late_reader');
    await down(file);
  });

  it('restore a view that was dropped from between others', async () => {
    const chain = (middle: boolean, factor: number): TestView[] => [
      {
        name: 'low',
        expression: `SELECT amount * ${factor} AS id FROM orders`,
        indexes: [{ name: 'k', keys: ['id'] }],
      },
      ...(middle
        ? [
            {
              name: 'Middle',
              schema: 'Far away',
              expression: 'SELECT id FROM low',
              indexes: [{ name: 'm', keys: ['id'] }],
            },
          ]
        : []),
      {
        name: 'high',
        expression: middle ? 'SELECT id FROM "Far away"."Middle"' : 'SELECT id FROM low',
      },
      { name: 'higher', expression: 'SELECT id FROM high' },
    ];
    for (const rebuildStrategy of ['side-by-side', 'drop-and-create'] as const) {
      await release(chain(true, 1));
      const before = await catalog(database);
      const [file, schema] = await migrationTo(chain(false, 2), { rebuildStrategy });
      await up(file);
      expect(await schema.diff()).toEqual([]);
      await down(file);
      expect(await catalog(database)).toEqual(before);
    }
  });

  it('restore a view with rows above one that has none', async () => {
    const chain = (factor: number): TestView[] => [
      { name: 'low', withData: false, expression: `SELECT amount * ${factor} AS id FROM orders` },
      { name: 'between', withData: false, expression: 'SELECT id FROM low' },
      { name: 'high', withData: false, expression: 'SELECT id FROM between' },
    ];
    for (const rebuildStrategy of ['side-by-side', 'drop-and-create'] as const) {
      await release(chain(1));
      for (const name of ['low', 'between', 'high']) {
        await database.query(`REFRESH MATERIALIZED VIEW ${name}`);
      }
      await database.query('REFRESH MATERIALIZED VIEW low WITH NO DATA');
      const before = await catalog(database);
      const [file] = await migrationTo(chain(2), { rebuildStrategy });
      await up(file);
      await down(file);
      expect(await catalog(database)).toEqual(before);
      expect(await database.query('SELECT sum(id) FROM high')).toEqual([{ sum: '6' }]);
      await release(chain(3));
    }
  });

  it('leave out what was given to indexes and columns that go', async () => {
    const low: TestView = {
      name: 'low',
      expression: 'SELECT day, amount FROM orders',
      columns: ['day', 'amount'],
    };
    for (const rebuildStrategy of ['side-by-side', 'drop-and-create'] as const) {
      await release([{ ...low, indexes: [{ name: 'k', keys: ['amount'] }] }]);
      const [file, schema] = await migrationTo(
        [{ ...low, expression: 'SELECT amount FROM orders', columns: ['amount'] }],
        { rebuildStrategy },
      );
      await database.query(`
        ALTER INDEX k DEPENDS ON EXTENSION plpgsql;
        COMMENT ON INDEX k IS 'by hand';
        ALTER MATERIALIZED VIEW low CLUSTER ON k, ALTER day SET STATISTICS 7;
        COMMENT ON COLUMN low.day IS 'by hand';
        GRANT SELECT (day) ON low TO late_reader`);
      await up(file);
      expect(await schema.diff()).toEqual([]);
    }
  });

  it.each([
    ['alone', {}, 'SELECT id FROM low'],
    ['with another name', { name: 'lower', renamedFrom: 'low' }, 'SELECT id FROM lower'],
    ['below one that changes', {}, 'SELECT id + 1 AS id FROM low'],
    ['in another schema', { schema: 'Far away', renamedFrom: 'public.low' }, 'SELECT 1 AS id'],
    [
      'with another name and still without rows',
      { name: 'lower', renamedFrom: 'low', withData: false },
      'SELECT 1 AS id',
    ],
  ])('take the rows again that they gave to a view, %s', async (_, change, above) => {
    const low: TestView = { name: 'low', expression: 'SELECT amount AS id FROM orders' };
    const high = (expression: string): TestView => ({ name: 'high', expression });
    for (const rebuildStrategy of ['side-by-side', 'drop-and-create'] as const) {
      await release([low, high('SELECT id FROM low')], { prune: true });
      await database.query('REFRESH MATERIALIZED VIEW low WITH NO DATA');
      const before = await catalog(database);
      const [file, schema] = await migrationTo([{ ...low, ...change }, high(above)], {
        rebuildStrategy,
      });
      await up(file);
      expect(await schema.diff()).toEqual([]);
      await down(file);
      expect(await catalog(database)).toEqual(before);
      expect(await database.query('SELECT count(*) FROM high')).toEqual([{ count: '3' }]);
    }
  });

  it.each([
    ['frees no name', 'other_key'],
    ['frees the name of an index', 'key'],
  ])('take the rows again of a view that goes and %s, from a renamed one', async (_, index) => {
    const low: TestView = { name: 'low', expression: 'SELECT amount AS id FROM orders' };
    const keyed = (view: TestView, name: string): TestView => ({
      ...view,
      indexes: [{ name, keys: ['id'] }],
    });
    for (const rebuildStrategy of ['side-by-side', 'drop-and-create'] as const) {
      await release([low, keyed({ name: 'high', expression: 'SELECT id FROM low' }, 'key')]);
      await database.query('REFRESH MATERIALIZED VIEW low WITH NO DATA');
      const before = await catalog(database);
      const renamed = { ...low, name: 'lower', renamedFrom: 'low', withData: false };
      const [file, schema] = await migrationTo([keyed(renamed, index)], { rebuildStrategy });
      await up(file);
      expect(await schema.diff()).toEqual([]);
      await down(file);
      expect(await catalog(database)).toEqual(before);
      expect(await database.query('SELECT count(*) FROM high')).toEqual([{ count: '3' }]);
    }
  });
});

function withoutDefinitions(all: Record<string, unknown>): unknown {
  return JSON.parse(
    JSON.stringify(all, (key, value: unknown) =>
      key === 'definition' && String(value).startsWith(' ') ? undefined : value,
    ),
  );
}
