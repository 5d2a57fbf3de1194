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
} from '../../lib/index.js';
import { catalog } from '../support/catalog.js';
import { boot, typeOrm } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';

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

  it('changes, and the views come back with all that belongs to them', async () => {
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

  it('is not touched where something that is not ours stands in the way', async () => {
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
