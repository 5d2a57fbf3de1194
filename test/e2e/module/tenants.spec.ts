import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import {
  Column,
  DataSource,
  Entity,
  Index,
  JoinColumn,
  ManyToOne,
  PrimaryColumn,
  type Repository,
  ViewColumn,
} from 'typeorm';
import {
  inSchema,
  InvalidOptionsError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  PlainViewEntity,
  ReadOnlyViewError,
  RefreshService,
  SchemaService,
  SchemaSyncError,
  UnknownViewError,
} from '../../../lib/index.js';
import { untilIdle } from '../../../lib/testing/index.js';
import { managed } from '../../support/managed.js';
import { statementsOf } from '../../support/statement-count.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

/** The second is a name that a hostile customer could choose. */
const [ACME, HOSTILE] = ['acme', `o'"; DROP TABLE "orders"; --`];
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

const schemas = async (dataSource: DataSource): Promise<string[]> => {
  const rows: { schema: string }[] = await dataSource.query('SELECT schema FROM public.tenants');
  return rows.map(({ schema }) => schema);
};

@Entity('customers')
class Customer {
  @PrimaryColumn('int') id!: number;
  @Column('text') name!: string;
}

@Entity('orders')
class Order {
  @PrimaryColumn('int') id!: number;
  @Column('int') amount!: number;
  @ManyToOne(() => Customer) @JoinColumn({ name: 'customer' }) customer!: Customer;
}

@MaterializedViewEntity({
  name: 'revenue',
  schemas,
  expression: (_, { table }) =>
    `SELECT customer, sum(amount)::int AS revenue FROM ${table('orders')} GROUP BY customer`,
  refresh: { cron: '0 0 1 1 *' },
})
@Index(['customer'], { unique: true })
class Revenue {
  @ViewColumn() customer!: number;
  @ViewColumn() revenue!: number;
  @ManyToOne(() => Customer) @JoinColumn({ name: 'customer' }) buyer!: Customer;
}

@MaterializedViewEntity({
  name: 'best "Customers"',
  schemas,
  expression: (dataSource) =>
    dataSource
      .createQueryBuilder(Order, 'o')
      .innerJoin('o.customer', 'c')
      .select('c.name', 'name')
      .addSelect('sum(o.amount)::int', 'revenue')
      .where('o.amount > :least', { least: 1 })
      .groupBy('c.name'),
  refresh: { on: [Order], debounce: '0s' },
})
@Index('best_name', ['name'], { unique: true })
class Best {
  @ViewColumn() name!: string;
  @ViewColumn() revenue!: number;
}

@PlainViewEntity({
  name: 'big_orders',
  schemas,
  expression: (_, { table }) => `SELECT id, amount FROM ${table('orders')} WHERE amount > 1`,
})
class BigOrder {
  @PrimaryColumn('int') id!: number;
  @ViewColumn() amount!: number;
}

const VIEWS = [Revenue, Best, BigOrder];

describe('tenants: one class, many schemas (features.md, row 6)', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let revenue: Repository<Revenue>;

  const addTables = async (schema: string, amount: number): Promise<void> => {
    await database.query(`
      CREATE SCHEMA ${quoted(schema)};
      CREATE TABLE ${quoted(schema)}.customers (id int PRIMARY KEY, name text NOT NULL);
      CREATE TABLE ${quoted(schema)}.orders (id int PRIMARY KEY, amount int NOT NULL, customer int);
      INSERT INTO ${quoted(schema)}.customers VALUES (1, 'first of ${amount}');
      INSERT INTO ${quoted(schema)}.orders VALUES (1, ${amount}, 1)`);
  };
  const addTenant = async (schema: string, amount: number): Promise<void> => {
    await addTables(schema, amount);
    await database.query('INSERT INTO public.tenants VALUES ($1)', [schema]);
  };
  const start = async (options: MaterializedViewsModuleOptions = {}): Promise<TestingModule> =>
    boot(
      typeOrm(database, { autoLoadEntities: false, entities: [...VIEWS, Order, Customer] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: VIEWS, scheduling: false, ...options }),
    );

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query('CREATE TABLE public.tenants (schema text PRIMARY KEY)');
    await addTenant(ACME, 10);
    await addTenant(HOSTILE, 20);
  });

  afterEach(async () => {
    await app.close();
    await database.query('DROP SCHEMA IF EXISTS materialized_views CASCADE');
    for (const { schema } of await database.query('SELECT schema FROM public.tenants')) {
      await database.query(`DROP SCHEMA IF EXISTS ${quoted(schema as string)} CASCADE`);
    }
    await database.query('DROP TABLE public.tenants');
  });

  afterAll(async () => {
    await database.drop();
  });

  const begin = async (options?: MaterializedViewsModuleOptions): Promise<void> => {
    app = await start(options);
    refreshes = app.get(RefreshService);
    revenue = app.get(getRepositoryToken(Revenue));
  };

  it('reads, writes and joins in the schema that the caller names', async () => {
    await begin();
    const inAcme = inSchema(revenue, ACME);
    expect(await inAcme.find()).toEqual([{ customer: 1, revenue: 10 }]);
    expect(await inSchema(revenue, HOSTILE).findOneBy({ customer: 1 })).toEqual({
      customer: 1,
      revenue: 20,
    });
    const relations = { buyer: true };
    for (const relationLoadStrategy of ['join', 'query'] as const) {
      expect(await inSchema(revenue, HOSTILE).find({ relations, relationLoadStrategy })).toEqual([
        { customer: 1, revenue: 20, buyer: { id: 1, name: 'first of 20' } },
      ]);
    }
    const best = app.get<Repository<Best>>(getRepositoryToken(Best));
    expect(await inSchema(best, ACME).createQueryBuilder('b').getMany()).toEqual([
      { name: 'first of 10', revenue: 10 },
    ]);
    for (const schema of ['pg_catalog', 'a.b', '', 'a\0b', undefined as never]) {
      expect(() => inSchema(revenue, schema)).toThrow(InvalidOptionsError);
    }
    await expect(inAcme.save({ customer: 2, revenue: 1 })).rejects.toThrow(ReadOnlyViewError);
    await expect(inAcme.update({ customer: 1 }, { revenue: 1 })).rejects.toThrow(ReadOnlyViewError);
    // A plain view can be written to, in the transaction of its manager.
    const dataSource = app.get(DataSource);
    await dataSource.transaction(async (manager) => {
      await inSchema(manager.getRepository(BigOrder), HOSTILE).insert({ id: 2, amount: 7 });
      expect(await inSchema(manager.getRepository(Order), HOSTILE).count()).toBe(2);
      expect(await inSchema(dataSource.getRepository(Order), HOSTILE).count()).toBe(1);
      expect(await inSchema(manager.getRepository(Order), ACME).count()).toBe(1);
    });
  });

  it('refreshes, controls and reports each view by itself', async () => {
    await begin();
    await database.query(`INSERT INTO acme.orders VALUES (2, 5, 1)`);
    expect(await refreshes.refresh(Revenue, { schema: ACME })).toMatchObject({
      view: 'acme.revenue',
      outcome: 'refreshed',
      mode: 'concurrently',
    });
    expect(await inSchema(revenue, ACME).find()).toEqual([{ customer: 1, revenue: 15 }]);
    const count = async (schema: string): Promise<number> =>
      (await refreshes.history(Revenue, { schema })).length;
    // The creation of a view counts as a run, too.
    expect([await count(ACME), await count(HOSTILE)]).toEqual([2, 1]);
    await refreshes.pause(Revenue, { schema: HOSTILE });
    const paused = await refreshes.statusAll({ views: [Revenue] });
    expect(paused.map(({ view, isPaused }) => [view, isPaused])).toEqual([
      ['acme.revenue', false],
      [`${HOSTILE}.revenue`, true],
    ]);
    const ticks = new Set(paused.map(({ nextTick }) => nextTick?.getTime()));
    expect(ticks.size).toBe(2);
    await refreshes.resume(Revenue, { schema: HOSTILE });
    expect(await refreshes.cancel(Revenue, { schema: ACME })).toBe(false);
    expect(await refreshes.drift(Revenue, { schema: ACME })).toMatchObject({ isDrifted: false });
    expect(await app.get(SchemaService).definition(Revenue, { schema: ACME })).toContain('acme.');
  });

  it('requires a schema if one view is meant, and takes all of a class if several may be', async () => {
    await begin();
    const refusal = refreshes.refresh(Revenue);
    await expect(refusal).rejects.toThrow(UnknownViewError);
    await expect(refusal).rejects.toMatchObject({ hint: expect.stringContaining('`schema`') });
    await expect(refreshes.status(Revenue, { schema: 'nowhere' })).rejects.toThrow(
      /Revenue is not a registered materialized view in schema "nowhere"/,
    );
    const names = async (report: ReturnType<RefreshService['refreshAll']>): Promise<string[]> =>
      (await report).views.map(({ view }) => view).sort();
    const [mine, theirs] = [ACME, HOSTILE].map((schema) => [
      `${schema}.best "Customers"`,
      `${schema}.revenue`,
    ]) as [string[], string[]];
    expect(await names(refreshes.refreshAll())).toEqual([...mine, ...theirs]);
    expect(await names(refreshes.refreshAll({ schema: ACME }))).toEqual(mine);
    expect(await names(refreshes.refreshMany([Revenue]))).toEqual([mine[1], theirs[1]]);
    expect(await names(refreshes.refreshMany([Revenue], { schema: ACME }))).toEqual([mine[1]]);
    await expect(refreshes.refreshMany([Revenue], { schema: 'nowhere' })).rejects.toThrow(
      UnknownViewError,
    );
    const views = (await refreshes.historyAll({ schema: ACME })).map(({ view }) => view);
    expect([...new Set(views)].sort()).toEqual(mine);
  });

  it('has a job for each, and refreshes the tenant whose tables are written', async () => {
    await begin({ scheduling: true });
    const jobs = [...app.get(SchedulerRegistry).getCronJobs().keys()];
    expect(jobs).toEqual([ACME, HOSTILE].map((schema) => `materialized-view:${schema}.revenue`));
    const written = async (): Promise<string[]> => {
      await untilIdle(app);
      const runs = await refreshes.historyAll();
      return runs.filter(({ trigger }) => trigger === 'write').map(({ view }) => view);
    };
    // The first refresh of each view only makes sure that no write is missed.
    const before = await written();
    await database.query(`INSERT INTO ${quoted(HOSTILE)}.orders VALUES (3, 5, 1)`);
    expect(await written()).toEqual([`${HOSTILE}.best "Customers"`, ...before]);
    const best = inSchema(app.get<Repository<Best>>(getRepositoryToken(Best)), HOSTILE);
    expect(await best.find()).toEqual([{ name: 'first of 20', revenue: 25 }]);
  });

  it('creates the views of a new tenant, here and in other running processes, and lets those of a removed one go', async () => {
    // Only the other process looks for new tenants by itself.
    await begin({ scheduling: true, sweepInterval: '1h' });
    const other = await start({ sweepInterval: '100ms' });
    try {
      await addTenant('late', 30);
      expect((await app.get(SchemaService).sync()).added.sort()).toEqual([
        'late.best "Customers"',
        'late.big_orders',
        'late.revenue',
      ]);
      expect(await app.get(SchemaService).sync(Revenue)).toEqual({ added: [], removed: [] });
      expect(await inSchema(revenue, 'late').find()).toEqual([{ customer: 1, revenue: 30 }]);
      const job = 'materialized-view:late.revenue';
      expect(app.get(SchedulerRegistry).getCronJobs().has(job)).toBe(true);
      // The other process finds the new tenant without being told.
      const there = managed(other).views;
      while (there.named('late.revenue') === undefined) {
        await database.query('SELECT 1');
      }
      expect(await other.get(RefreshService).refresh(Revenue, { schema: 'late' })).toMatchObject({
        outcome: 'refreshed',
      });

      await database.query(`DELETE FROM tenants WHERE schema = 'late'; DROP SCHEMA late CASCADE`);
      expect((await app.get(SchemaService).sync()).removed.sort()).toEqual([
        'late.best "Customers"',
        'late.big_orders',
        'late.revenue',
      ]);
      expect(app.get(SchedulerRegistry).getCronJobs().has(job)).toBe(false);
      await expect(refreshes.refresh(Revenue, { schema: 'late' })).rejects.toThrow(
        UnknownViewError,
      );
    } finally {
      await other.close();
    }
  });

  it('creates what it can, and tries again for a tenant whose tables do not exist yet', async () => {
    await begin({ sweepInterval: '1h' });
    await database.query(`INSERT INTO tenants VALUES ('bare')`);
    await addTenant('late', 30);
    const sync = app.get(SchemaService);
    await expect(sync.sync()).rejects.toThrow(SchemaSyncError);
    expect(await inSchema(revenue, 'late').find()).toEqual([{ customer: 1, revenue: 30 }]);
    expect(managed(app).views.named('late.revenue')).toBeDefined();
    expect(managed(app).views.named('bare.revenue')).toBeUndefined();
    await addTables('bare', 1);
    expect((await sync.sync(Revenue)).added).toEqual(['bare.revenue']);
  });

  it('leaves views of a newer release alone when a tenant is added', async () => {
    await begin();
    await database.query(`DROP MATERIALIZED VIEW acme.revenue`);
    await addTenant('late', 30);
    await app.get(SchemaService).sync();
    expect((await refreshes.status(Revenue, { schema: ACME })).exists).toBe(false);
    expect((await refreshes.status(Revenue, { schema: 'late' })).exists).toBe(true);
  });

  it('boots unchanged in the same number of statements for 5 and for 50', async () => {
    const counts: number[] = [];
    for (const size of [5, 50]) {
      const known = await database.query('SELECT FROM tenants');
      for (let each = known.length; each < size; each++) {
        await addTenant(`tenant_${each}`, each);
      }
      await (await start()).close();
      const sent = await statementsOf(async () => (await start()).close());
      counts.push(sent.length);
    }
    expect(counts[1]).toBe(counts[0]);
    await begin();
    expect(await refreshes.statusAll()).toHaveLength(100);
  });
});
