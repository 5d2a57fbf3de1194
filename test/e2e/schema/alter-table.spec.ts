import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  Column,
  DataSource,
  Entity,
  type MigrationInterface,
  PrimaryGeneratedColumn,
  type QueryRunner,
} from 'typeorm';
import {
  alterTable,
  MaterializedViewsModule,
  SchemaService,
  UnmanagedDependentsError,
} from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { boot, bootRelease, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

@Entity('orders')
class Order {
  @PrimaryGeneratedColumn() id!: number;
  @Column() amount!: number;
}

const WIDEN = 'ALTER TABLE orders ALTER COLUMN amount TYPE numeric(12, 2)';

class WidenAmount1700000000000 implements MigrationInterface {
  name = 'WidenAmount1700000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await alterTable(queryRunner, 'public.orders', () => queryRunner.query(WIDEN));
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await alterTable(queryRunner, 'orders', () =>
      queryRunner.query('ALTER TABLE orders ALTER COLUMN amount TYPE int'),
    );
  }
}

class ToCitext1700000000000 implements MigrationInterface {
  name = 'ToCitext1700000000000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await alterTable(queryRunner, 'items', () =>
      queryRunner.query('ALTER TABLE items ALTER COLUMN t TYPE citext'),
    );
  }

  async down(): Promise<void> {
    // Never called.
  }
}

/** For each column, conditions that PostgreSQL parses differently depending on the column's type. */
const CONDITIONS = {
  t: ["t = 'ann'", "t IN ('ann', 'bob')", "t LIKE 'a%'", "coalesce(t, '') > 'b'"],
  v: ["v IN ('ann', 'bob')", "v = 'ann'", "v LIKE 'a%'", "coalesce(v, '') > 'b'"],
  p: ["p = 'ann'", "p IN ('ann', 'bob')", "p LIKE 'a%'", "coalesce(p, '') > 'b'"],
  i: ['i IN (1, 2, 3)', 'i = 1', 'i > 1.5', 'i / 2 = 0', 'coalesce(i, 0) < 3'],
  d: ["d = '2026-01-02'", "d IN ('2026-01-01', '2026-01-02')", "d >= date '2026-01-02'"],
  s: ["s > '2026-01-02'", "s IN ('2026-01-01', '2026-01-02')", "s >= date '2026-01-02'"],
};

describe('a table that views read', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let schema: SchemaService;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, public CASCADE`);
    await database.query(`CREATE SCHEMA public`);
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, amount int, note text)`);
    await database.query(`INSERT INTO orders (amount) VALUES (1), (2)`);
    const views = [
      viewClass({ name: 'above', expression: 'SELECT count(*) AS id FROM amounts' }),
      viewClass({
        name: 'amounts',
        expression: 'SELECT id, amount FROM orders',
        columns: ['id', 'amount'],
        key: ['id'],
      }),
      viewClass({ name: 'apart', expression: 'SELECT 1 AS id' }),
    ];
    app = await boot(
      typeOrm(database, {
        autoLoadEntities: false,
        entities: [Order, ...views] as (new () => object)[],
      }),
      MaterializedViewsModule.forRoot(),
    );
    schema = app.get(SchemaService);
    await database.query(`GRANT SELECT ON amounts TO PUBLIC`);
    await database.query(`COMMENT ON COLUMN amounts.amount IS 'in cents'`);
    await database.query(`CREATE INDEX by_hand ON above (id)`);
  });

  afterEach(async () => {
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const oid = async (name: string): Promise<unknown> =>
    (await database.query(`SELECT $1::regclass::oid AS oid`, [name]))[0]?.oid;

  it('changes, and the views come back with everything that belongs to them', async () => {
    const before = await catalog(database);
    const apart = await oid('apart');
    await expect(database.query(WIDEN)).rejects.toMatchObject({ code: '0A000' });

    const done = await schema.alterTable(Order, async (queryRunner) => {
      await queryRunner.query(WIDEN);
      return 'done';
    });

    expect(done).toBe('done');
    const changed = JSON.stringify(await catalog(database)).replace('numeric(12,2)', 'integer');
    expect(changed.replace('"attstorage":"m"', '"attstorage":"p"')).toBe(JSON.stringify(before));
    expect(await database.query('SELECT * FROM amounts ORDER BY id')).toEqual([
      { id: 1, amount: '1.00' },
      { id: 2, amount: '2.00' },
    ]);
    expect(await oid('apart')).toBe(apart);
    await schema.verify();
  });

  it('changes within a migration, and back', async () => {
    const before = await catalog(database);
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      migrations: [WidenAmount1700000000000],
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
    expect(await database.query('SELECT amount FROM amounts WHERE id = 1')).toEqual([
      { amount: '1.00' },
    ]);
    await dataSource.undoLastMigration();
    await dataSource.destroy();
    expect(await catalog(database)).toEqual(before);
  });

  it('stays as it is, with its views, when the change fails', async () => {
    const before = await catalog(database);
    const oids = [await oid('amounts'), await oid('above')];
    await expect(
      schema.alterTable('orders', (queryRunner) =>
        queryRunner.query('ALTER TABLE orders nonsense'),
      ),
    ).rejects.toMatchObject({ code: '42601' });
    await expect(
      schema.alterTable('orders', (queryRunner) =>
        queryRunner.query('ALTER TABLE orders DROP COLUMN amount'),
      ),
    ).rejects.toMatchObject({ code: 'MV_SCHEMA_SYNC_FAILED', cause: { code: '42703' } });
    expect(await catalog(database)).toEqual(before);
    expect([await oid('amounts'), await oid('above')]).toEqual(oids);
  });

  it('is not changed if something that the library does not manage is in the way', async () => {
    await database.query('CREATE VIEW report AS SELECT * FROM amounts');
    await database.query(`COMMENT ON VIEW report IS 'for the boss'`);
    const widen = (queryRunner: QueryRunner): Promise<unknown> => queryRunner.query(WIDEN);
    await expect(schema.alterTable('orders', widen)).rejects.toThrow(UnmanagedDependentsError);
    await expect(schema.alterTable('orders', widen)).rejects.toThrow(/view public\.report/);
    await schema.alterTable('orders', widen, { unmanagedDependents: 'rebuild' });
    expect(await database.query(`SELECT obj_description('report'::regclass) AS comment`)).toEqual([
      { comment: 'for the boss' },
    ]);
  });
});

describe('views that come back after a change of a type', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE EXTENSION citext');
  });

  beforeEach(async () => {
    await database.query(`
      DROP TABLE IF EXISTS items CASCADE;
      DROP SCHEMA IF EXISTS materialized_views, "Far away" CASCADE;
      CREATE TABLE items (id int PRIMARY KEY, t text, v varchar(10), p char(5), i int, d date, s timestamp);
      INSERT INTO items VALUES
        (1, 'ann', 'ann', 'ann', 1, '2026-01-01', '2026-01-01'),
        (2, 'ANN', 'Ann', 'bob', 2, '2026-01-02', '2026-01-02 12:00'),
        (3, 'bob', 'Bob', 'BOB', 5, NULL, NULL)`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  /** For each column, a view with all conditions that depend on its type, and a view that reads that view. */
  const VIEWS: TestView[] = Object.entries(CONDITIONS).flatMap(([column, [first, ...others]]) => [
    {
      name: `Daily "${column}"`,
      schema: 'Far away',
      expression: `SELECT id, ${column}, ${others.map((each, at) => `(${each}) AS c${at}`).join(', ')}
        FROM items WHERE ${first}`,
      key: ['id'],
      indexes: [{ name: `Daily "${column}" partly`, keys: ['id'], where: first }],
    },
    {
      name: `above ${column}`,
      expression: `SELECT id FROM "Far away"."Daily ""${column}""" WHERE ${first}`,
    },
  ]);

  async function release(views: TestView[] = VIEWS): Promise<SchemaService> {
    await app?.close();
    app = await bootRelease(database, views);
    return app.get(SchemaService);
  }

  const alter =
    (change: string) =>
    (runner: QueryRunner): Promise<unknown> =>
      runner.query(`ALTER TABLE items ${change}`);

  it.each([
    ['t', 'citext'],
    ['v', 'text'],
    ['v', 'citext'],
    ['p', 'text'],
    ['i', 'bigint'],
    ['i', 'numeric'],
    ['i', 'smallint'],
    ['d', 'timestamp'],
    ['s', 'timestamptz'],
    ['s', 'date'],
  ])('are as declared if %s becomes %s', async (column, type) => {
    const schema = await release();

    await schema.alterTable('items', alter(`ALTER COLUMN ${column} TYPE ${type}`));

    expect(await schema.diff()).toEqual([]);
    for (const { expression, name } of VIEWS.filter((view) => view.schema !== undefined)) {
      const stored = `SELECT * FROM "Far away"."${name?.replaceAll('"', '""')}"`;
      expect([
        ...(await database.query(`(${expression}) EXCEPT ALL (${stored})`)),
        ...(await database.query(`(${stored}) EXCEPT ALL (${expression})`)),
      ]).toEqual([]);
    }
    await (await release()).verify();
  });

  it('have the columns that their declared query has then', async () => {
    const schema = await release([{ name: 'everything', expression: 'SELECT * FROM items;' }]);
    await schema.alterTable('items', alter('ADD COLUMN extra int'));
    expect(await schema.diff()).toEqual([]);
    expect(await database.query('SELECT extra FROM everything')).toHaveLength(3);
  });

  it('keep changes made by hand', async () => {
    const schema = await release();
    await database.query(`
      DROP MATERIALIZED VIEW "above t";
      DROP MATERIALIZED VIEW "Far away"."Daily ""t""";
      CREATE MATERIALIZED VIEW "Far away"."Daily ""t""" AS SELECT id, t, 'hand' AS by FROM items;
      DROP INDEX "Far away"."Daily ""i"" partly";
      CREATE INDEX "Daily ""i"" partly" ON "Far away"."Daily ""i""" (id) WHERE i > 100`);
    const before = await schema.diff();
    await schema.alterTable('items', alter('ALTER t TYPE citext, ALTER i TYPE bigint'));
    expect(await schema.diff()).toEqual(before);
    expect(await database.query(`SELECT by FROM "Far away"."Daily ""t"""`)).toHaveLength(3);
    expect(
      await database.query(`SELECT indexdef FROM pg_indexes WHERE indexname = 'Daily "i" partly'`),
    ).toEqual([{ indexdef: expect.stringContaining('100') }]);
  });

  it('come back as declared in a migration whose data source has their classes', async () => {
    await release();
    const dataSource = new DataSource({
      type: 'postgres',
      url: database.url,
      entities: app?.get(DataSource).entityMetadatas.map(({ target }) => target as () => void),
      migrations: [ToCitext1700000000000],
    });
    await dataSource.initialize();
    await dataSource.runMigrations();
    await dataSource.destroy();
    expect(await database.query(`SELECT id FROM "Far away"."Daily ""t""" ORDER BY 1`)).toEqual([
      { id: 1 },
      { id: 2 },
    ]);
  });
});
