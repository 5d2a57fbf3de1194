import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { ScheduleModule } from '@nestjs/schedule';
import { TypeOrmModule } from '@nestjs/typeorm';
import {
  Column,
  DataSource,
  Entity,
  Index,
  JoinColumn,
  type Logger,
  ManyToOne,
  OneToMany,
  OneToOne,
  PrimaryColumn,
  PrimaryGeneratedColumn,
  type Relation,
  ViewColumn,
} from 'typeorm';
import {
  InvalidDefinitionError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  ReadOnlyViewError,
} from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

@Entity()
class Product {
  @PrimaryGeneratedColumn() id!: number;
  @Column() name!: string;
  @OneToOne(() => ProductSales, (sales) => sales.product) sales?: Relation<ProductSales>;
  @OneToMany(() => Sale, (sale) => sale.product, { cascade: true }) entries?: Sale[];
}

@Entity()
class Sale {
  @PrimaryGeneratedColumn() id!: number;
  @Column() amount!: number;
  @ManyToOne(() => Product) product!: Product;
  @ManyToOne(() => Half, { createForeignKeyConstraints: false }) half?: Relation<Half>;
}

/** The join column of an entity's relation to a view takes its type from the view's column. */
@MaterializedViewEntity({
  name: 'half',
  expression: "SELECT * FROM (VALUES (1, 'first'), (2, 'second')) AS v (id, name)",
})
@Index(['id'], { unique: true })
class Half {
  @PrimaryColumn('integer') id!: number;
  @ViewColumn() name!: string;
  @OneToMany(() => Sale, (sale) => sale.half) sales?: Sale[];
}

@MaterializedViewEntity({
  name: 'product_sales',
  expression: (dataSource) =>
    dataSource
      .createQueryBuilder()
      .select('sale.productId', 'product_id')
      .addSelect('sum(sale.amount)', 'total')
      .addSelect(':label', 'label')
      .from(Sale, 'sale')
      .where('sale.amount > :least AND sale.productId IN (:...ids)', {
        least: -5,
        ids: [1, 2, 3],
        label: "it's $1 \\ :least",
      })
      .groupBy('sale.productId'),
  indexes: [
    {
      name: 'product_sales_total',
      keys: [{ property: 'total', order: 'DESC', nulls: 'LAST' }, { expression: 'lower(label)' }],
      include: ['productId'],
      where: 'total > 0',
      storage: { fillfactor: 90 },
    },
    {
      name: 'product_sales_label',
      method: 'gist',
      keys: [{ expression: "to_tsvector('english', label)", operatorClass: 'tsvector_ops' }],
    },
  ],
})
@Index(['productId'], { unique: true })
class ProductSales {
  @ViewColumn({ name: 'product_id' }) productId!: number;
  @ViewColumn() total!: string;
  @ViewColumn() label!: string;
  @OneToOne(() => Product, (product) => product.sales, { createForeignKeyConstraints: false })
  @JoinColumn({ name: 'product_id' })
  product?: Relation<Product>;
}

class DatedView {
  @ViewColumn() id!: number;
}

/** Records the statements that TypeORM sends. */
class StatementLog implements Logger {
  readonly statements: string[] = [];
  logQuery(query: string): void {
    this.statements.push(query);
  }
  logQueryError(): void {}
  logQuerySlow(): void {}
  logSchemaBuild(): void {}
  logMigration(): void {}
  log(): void {}
}

describe('a decorated class', () => {
  const log = new StatementLog();
  let database: TestDatabase;
  let app: TestingModule;
  let dataSource: DataSource;

  beforeAll(async () => {
    database = await TestDatabase.create();
    app = await boot(
      typeOrm(database, { synchronize: true, logger: log }),
      TypeOrmModule.forFeature([Product, Sale]),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: [ProductSales, Half] }),
    );
    dataSource = app.get(DataSource);
    await dataSource
      .getRepository(Product)
      .save([
        { name: 'pen', entries: [{ amount: 3, half: { id: 2 } }, { amount: 4 }] },
        { name: 'cup', entries: [{ amount: 1 }] },
        { name: 'mug' },
      ]);
    await database.query('REFRESH MATERIALIZED VIEW product_sales');
  });

  beforeEach(() => {
    log.statements.length = 0;
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  it('is created from a query builder, its parameters written as literals', async () => {
    expect(
      await dataSource.getRepository(ProductSales).find({ order: { productId: 'ASC' } }),
    ).toEqual([
      { productId: 1, total: '7', label: "it's $1 \\ :least" },
      { productId: 2, total: '1', label: "it's $1 \\ :least" },
    ]);
  });

  it('has the indexes of @Index and of the option `indexes`', async () => {
    const indexes = await database.query<{ indexdef: string }>(
      `SELECT indexdef FROM pg_indexes WHERE tablename = 'product_sales' ORDER BY indexname`,
    );
    expect(indexes.map(({ indexdef }) => indexdef.replace(/INDEX "?IDX_\w+"? /, 'INDEX '))).toEqual(
      [
        'CREATE UNIQUE INDEX ON public.product_sales USING btree (product_id)',
        "CREATE INDEX product_sales_label ON public.product_sales USING gist (to_tsvector('english'::regconfig, label))",
        "CREATE INDEX product_sales_total ON public.product_sales USING btree (total DESC NULLS LAST, lower(label)) INCLUDE (product_id) WITH (fillfactor='90') WHERE (total > 0)",
      ],
    );
  });

  it('takes the columns of its unique index as primary columns', async () => {
    const { primaryColumns } = dataSource.getMetadata(ProductSales);
    expect(primaryColumns.map((column) => column.propertyName)).toEqual(['productId']);
    const [page, count] = await dataSource.getRepository(ProductSales).findAndCount({
      relations: { product: true },
      take: 1,
      skip: 1,
      order: { productId: 'ASC' },
    });
    expect(count).toBe(2);
    expect(page).toEqual([
      expect.objectContaining({ productId: 2, product: { id: 2, name: 'cup' } }),
    ]);
  });

  it('has relations both ways, without foreign keys', async () => {
    const products = await dataSource
      .getRepository(Product)
      .find({ relations: { sales: true }, order: { id: 'ASC' } });
    expect(products.map(({ name, sales }) => [name, sales?.total ?? null])).toEqual([
      ['pen', '7'],
      ['cup', '1'],
      ['mug', null],
    ]);
    const loaded = await dataSource
      .getRepository(ProductSales)
      .findOne({ where: { product: { name: 'pen' } }, relations: { product: { entries: true } } });
    expect(loaded?.product?.entries).toHaveLength(2);
    const halves = await dataSource
      .getRepository(Half)
      .find({ relations: { sales: true }, order: { id: 'ASC' } });
    expect(halves.map(({ sales }) => sales?.map(({ amount }) => amount))).toEqual([[], [3]]);
    const [sale] = await dataSource
      .getRepository(Sale)
      .find({ where: { half: { name: 'second' } }, relations: { half: true } });
    expect(sale?.half).toEqual({ id: 2, name: 'second' });
    expect(await database.query(`SELECT FROM pg_constraint WHERE contype = 'f'`)).toHaveLength(1);
  });

  it('is read-only, and refuses without sending SQL', async () => {
    const repository = dataSource.getRepository(ProductSales);
    const view = repository.create({ productId: 1, total: '0' });
    const writes: Record<string, () => Promise<unknown>> = {
      save: () => repository.save(view),
      'save of several': () => repository.save([view, view]),
      insert: () => repository.insert(view),
      update: () => repository.update({ productId: 1 }, { total: '1' }),
      upsert: () => repository.upsert(view, ['productId']),
      delete: () => repository.delete({ productId: 1 }),
      remove: () => repository.remove(view),
      softDelete: () => repository.softDelete({ productId: 1 }),
      restore: () => repository.restore({ productId: 1 }),
      increment: () => repository.increment({ productId: 1 }, 'total', 1),
      clear: () => repository.clear(),
      'save by the manager': () => dataSource.manager.save(view),
      'insert by name': () => dataSource.manager.insert('ProductSales', view),
      'insert query builder': () =>
        dataSource.createQueryBuilder().insert().into(ProductSales).values(view).execute(),
      'update query builder': () =>
        repository.createQueryBuilder().update().set({ total: '1' }).execute(),
      'delete query builder': () => repository.createQueryBuilder().delete().execute(),
    };
    for (const [name, write] of Object.entries(writes)) {
      const failure: unknown = await write().catch((error: unknown) => error);
      expect([name, failure]).toEqual([name, expect.any(ReadOnlyViewError)]);
      expect([name, log.statements]).toEqual([name, []]);
    }
  });

  it('is read-only in transactions, which go on', async () => {
    await dataSource.transaction(async (manager) => {
      await manager.save(Product, { name: 'jug' });
      await expect(manager.save(ProductSales, { productId: 9 })).rejects.toThrow(
        /"public\.product_sales" is read-only: save was refused/,
      );
      await expect(manager.getRepository(ProductSales).clear()).rejects.toThrow(ReadOnlyViewError);
    });
    expect(await dataSource.getRepository(Product).countBy({ name: 'jug' })).toBe(1);
    await dataSource.getRepository(Product).delete({ name: 'jug' });
  });

  it('is left alone by synchronize and by generated migrations', async () => {
    const [before] = await database.query(`SELECT 'product_sales'::regclass::oid AS oid`);
    await dataSource.synchronize();
    const { upQueries } = await dataSource.driver.createSchemaBuilder().log();
    expect(upQueries).toEqual([]);
    expect(await database.query(`SELECT 'product_sales'::regclass::oid AS oid`)).toEqual([before]);
    const indexes = await database.query(
      `SELECT FROM pg_indexes WHERE tablename = 'product_sales'`,
    );
    expect(indexes).toHaveLength(3);
  });

  it.each([
    ['a date', new Date(0), 'a Date'],
    ['an object', { a: 1 }, 'a Object'],
    ['undefined', undefined, 'undefined'],
    ['not a number', Number.NaN, 'NaN'],
    ['text with a NUL', 'a\0b', 'text with a NUL character'],
    ['an array with a date', [1, new Date(0)], 'a Date'],
    ['an empty array', [], 'an empty array'],
  ])('refuses %s as a parameter of its query builder', async (_, value, given) => {
    class Dated extends DatedView {}
    MaterializedViewEntity({
      expression: (source) =>
        source
          .createQueryBuilder()
          .select('1', 'id')
          .from(Sale, 'sale')
          .where(Array.isArray(value) ? 'sale.id IN (:...since)' : 'sale.id > :since', {
            since: value,
          }),
    })(Dated);
    const failure: unknown = await boot(
      typeOrm(database, {
        autoLoadEntities: false,
        entities: [Dated, Product, Sale, ProductSales, Half],
      }),
      MaterializedViewsModule.forRoot({ views: [Dated] }),
    ).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InvalidDefinitionError);
    expect(String(failure)).toContain('@MaterializedViewEntity of Dated');
    expect(String(failure)).toContain('`since`');
    expect(String(failure)).toContain(`got ${given}`);
  });

  it('refuses a foreign key to a view', async () => {
    @MaterializedViewEntity({ name: 'target', expression: 'SELECT 1 AS id' })
    @Index(['id'], { unique: true })
    class Target {
      @PrimaryColumn('integer') id!: number;
    }

    @Entity()
    class Pointing {
      @PrimaryGeneratedColumn() id!: number;
      @ManyToOne(() => Target) target!: Target;
    }
    await expect(
      boot(
        typeOrm(database, { autoLoadEntities: false, entities: [Target, Pointing] }),
        MaterializedViewsModule.forRoot({ views: [Target] }),
      ),
    ).rejects.toThrow(/Pointing\.target .*createForeignKeyConstraints: false/);
  });
});
