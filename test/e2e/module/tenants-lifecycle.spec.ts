import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ScheduleModule } from '@nestjs/schedule';
import { Registry } from 'prom-client';
import {
  Column,
  DataSource,
  Entity,
  Index,
  PrimaryColumn,
  type SelectQueryBuilder,
  ViewColumn,
} from 'typeorm';
import { MaterializedViewsDashboardModule } from '../../../lib/dashboard/index.js';
import {
  MaterializedViewsHealthIndicator,
  MaterializedViewsHealthModule,
} from '../../../lib/health/index.js';
import {
  inSchema,
  InvalidDefinitionError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  PlainViewEntity,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { registerMetrics } from '../../../lib/prometheus/index.js';
import { advance, expectFresh, tick, untilIdle, useLiveViews } from '../../../lib/testing/index.js';
import { listen } from '../../support/http-app.js';
import { runMigrations } from '../../support/migration-runner.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { statementsOf } from '../../support/statement-count.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const ACME = 'acme';
/** A name that a hostile customer could choose. */
const HOSTILE = `<b>'"; --`;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** What the `schemas` function of all classes returns or throws. */
let tenants: unknown = [];
const schemas = (): string[] => {
  if (tenants instanceof Error) {
    throw tenants;
  }
  return tenants as string[];
};

@Entity('orders')
class Order {
  @PrimaryColumn('int') id!: number;
  @Column('int') amount!: number;
}

@MaterializedViewEntity({ name: 'rates', expression: 'SELECT 1 AS id, 2 AS rate' })
class Rates {
  @PrimaryColumn('int') id!: number;
  @ViewColumn() rate!: number;
}

@MaterializedViewEntity({
  name: 'revenue',
  schemas,
  expression: (_, { table }) =>
    `SELECT 1 AS id, (100 / min(amount) * sum(amount))::int AS total FROM ${table('orders')}`,
  liveView: true,
  refresh: { on: [Order], debounce: '0s', cron: '0 0 1 1 *' },
})
@Index(['id'], { unique: true })
class Revenue {
  @PrimaryColumn('int') id!: number;
  @ViewColumn() total!: number;
}

/** Reads a view of the tenant and one that all tenants share, both by their classes. */
@MaterializedViewEntity({
  name: 'converted',
  schemas,
  expression: (dataSource): SelectQueryBuilder<Revenue> =>
    dataSource
      .createQueryBuilder(Revenue, 'r')
      .innerJoin(Rates, 'rate', 'rate.id = r.id')
      .select('r.id', 'id')
      .addSelect('r.total * rate.rate', 'total'),
  dependsOn: [Revenue, Rates],
  refresh: { maxStaleness: '1h' },
})
@Index(['id'], { unique: true })
class Converted {
  @PrimaryColumn('int') id!: number;
  @ViewColumn() total!: number;
}

@PlainViewEntity({
  name: 'shown',
  schemas,
  expression: (_, { table }) => `SELECT total FROM ${table('converted')}`,
})
class Shown {
  @ViewColumn() total!: number;
}

/** `Revenue` in the next release, under another name. */
@MaterializedViewEntity({
  name: 'income',
  schemas,
  expression: (_, { table }) =>
    `SELECT 1 AS id, (100 / min(amount) * sum(amount))::int AS total FROM ${table('orders')}`,
  liveView: true,
  renamedFrom: 'revenue',
})
class Income {
  @PrimaryColumn('int') id!: number;
  @ViewColumn() total!: number;
}

const VIEWS = [Rates, Revenue, Converted, Shown] as (new () => object)[];
const viewsOf = (schema: string): string[] =>
  ['revenue_live', 'revenue', 'converted', 'shown'].map((name) => `${schema}.${name}`);

describe('the life of tenants (features.md, row 6)', () => {
  let database: TestDatabase;
  let releases: Releases;

  const addTenant = async (schema: string, amount: number): Promise<void> => {
    await database.query(`CREATE SCHEMA ${quoted(schema)}`);
    await database.query(`CREATE TABLE ${quoted(schema)}.orders (id int PRIMARY KEY, amount int)`);
    await database.query(`INSERT INTO ${quoted(schema)}.orders VALUES (1, ${amount})`);
    tenants = [...(tenants as string[]), schema];
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    releases = new Releases(database);
    tenants = [];
    await addTenant(ACME, 1);
    await addTenant(HOSTILE, 2);
  });

  afterEach(async () => {
    await releases.end();
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, ${quoted(ACME)}, ${quoted(HOSTILE)}, late CASCADE`,
    );
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS public.rates`);
  });

  afterAll(async () => {
    await database.drop();
  });

  const start = (options: ModuleOptions = {}, views = VIEWS): Promise<SchemaService> =>
    releases.start(views, { application: 'shop', ...options }, { entities: [...views, Order] });
  const refreshes = (): RefreshService => releases.get(RefreshService);
  const viewsThere = async (): Promise<string[]> =>
    (
      await database.query<{ name: string }>(
        `SELECT nspname || '.' || relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE relkind IN ('m', 'v') AND (nspname IN ('late', $1, $2) OR relname = 'rates') ORDER BY 1`,
        [ACME, HOSTILE],
      )
    ).map(({ name }) => name);

  it('has views over those of the tenant, and over one that all share', async () => {
    const schema = await start();
    expect(await schema.diff()).toEqual([]);
    const order = await schema.order();
    expect([...order].sort()).toEqual(
      ['public.rates', ...viewsOf(ACME), ...viewsOf(HOSTILE)].sort(),
    );
    expect(order.indexOf(`${HOSTILE}.converted`)).toBeGreaterThan(order.indexOf('public.rates'));
    await database.query(`INSERT INTO acme.orders VALUES (2, 4)`);
    const { views } = await refreshes().refreshMany([Revenue], {
      schema: ACME,
      cascade: 'dependents',
    });
    expect(views.map(({ view }) => view)).toEqual(['acme.revenue', 'acme.converted']);

    const { manager } = releases.get(DataSource);
    // TypeORM 0.3 does not escape quotes.
    manager.dataSource.driver.escape = (name: string) => `"${name}"`;
    const read = (view: new () => object, of: string): Promise<unknown[]> =>
      inSchema(manager.getRepository(view), of).find();
    expect(await read(Converted, ACME)).toEqual([{ id: 1, total: 1_000 }]);
    expect(await read(Shown, HOSTILE)).toEqual([{ total: 200 }]);
    expect(await read(Rates, HOSTILE)).toEqual([{ id: 1, rate: 2 }]);
    const [inspected] = await schema.inspect({ schema: HOSTILE });
    expect(inspected).toMatchObject({
      view: `${HOSTILE}.revenue_live`,
      isManaged: true,
      dependencies: [{ kind: 'table', schema: HOSTILE, name: 'orders' }],
    });
  });

  it('tracks the tables of each, and is tested like any view', async () => {
    const scheduled = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: [...VIEWS, Order] }),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({ views: VIEWS }),
    );
    await untilIdle(scheduled);
    await database.query(`INSERT INTO ${quoted(HOSTILE)}.orders VALUES (2, 4)`);
    await untilIdle(scheduled);
    await expectFresh(scheduled, Revenue, { schema: HOSTILE });
    await scheduled.close();
    await start();
    await refreshes().refreshAll();
    await database.query(`INSERT INTO ${quoted(HOSTILE)}.orders VALUES (3, 6)`);
    const changed = async (schema: string): Promise<unknown> =>
      (await refreshes().status(Revenue, { schema })).changes?.isUnchanged === false;
    expect([await changed(ACME), await changed(HOSTILE)]).toEqual([false, true]);
    await expect(expectFresh(releases.module, Revenue, { schema: HOSTILE })).rejects.toThrow(
      'tables that it tracks have changed',
    );
    await advance(releases.module, '2h');
    const stale = (await refreshes().statusAll()).filter(({ isStale }) => isStale);
    expect(stale.map(({ view }) => view)).toContain(`${HOSTILE}.converted`);
    expect(await tick(releases.module, Revenue, { schema: HOSTILE })).toMatchObject({
      view: `${HOSTILE}.revenue`,
      outcome: 'refreshed',
    });
    const runner = releases.get(DataSource).createQueryRunner();
    await runner.startTransaction();
    await useLiveViews(releases.module, runner);
    await runner.query(`INSERT INTO acme.orders VALUES (9, 9)`);
    const repository = inSchema(runner.manager.getRepository(Converted), ACME);
    expect(await repository.find()).toEqual([{ id: 1, total: 2_000 }]);
    await runner.rollbackTransaction();
    await runner.release();
    expect(await inSchema(releases.get(DataSource).getRepository(Revenue), ACME).find()).toEqual([
      { id: 1, total: 100 },
    ]);
  });

  it('refreshes the others where one fails, and says which', async () => {
    await start();
    await database.query(`UPDATE ${quoted(HOSTILE)}.orders SET amount = 0`);
    const report = await refreshes()
      .refreshMany([Revenue, Converted])
      .catch((error: unknown) => (error as { report: unknown }).report);
    expect(report).toMatchObject({
      counts: { refreshed: 2, failed: 1 },
      views: expect.arrayContaining([
        expect.objectContaining({ view: `${HOSTILE}.revenue`, outcome: 'failed' }),
        expect.objectContaining({ view: 'acme.converted', outcome: 'refreshed' }),
      ]) as unknown,
    });
    expect(await refreshes().status(Revenue, { schema: ACME })).toMatchObject({ failureCount: 0 });
    expect(await refreshes().status(Revenue, { schema: HOSTILE })).toMatchObject({
      lastFailure: { errorCode: '22012' },
    });
  });

  it('shows each in the dashboard, the metrics and the health check', async () => {
    await start();
    await releases.stop();
    const { app, url } = await listen({
      platform: 'express',
      database,
      options: { views: VIEWS, synchronize: false },
      entities: [Order],
      metadata: {
        imports: [
          MaterializedViewsDashboardModule.forRoot({ allowUnauthenticated: true }),
          MaterializedViewsHealthModule,
        ],
      },
    });
    try {
      const service = app.get(RefreshService);
      const registry = new Registry();
      registerMetrics(service, { registry });
      const page = async (path: string): Promise<string> => {
        const answer = await fetch(`${url}/materialized-views/${path}`);
        expect(answer.status).toBe(200);
        return answer.text();
      };
      const query = new URLSearchParams({
        source: 'default',
        view: `${HOSTILE}.revenue`,
      }).toString();
      for (const path of ['', 'graph', 'runs', `view?${query}`, '?name=revenue']) {
        const shown = await page(path);
        expect(shown).toContain('&lt;b&gt;');
        expect(shown).not.toContain('<b>');
      }
      const before = (await service.history(Revenue, { schema: ACME })).length;
      const acted = await fetch(`${url}/materialized-views/refresh?${query}`, {
        method: 'POST',
        headers: {
          'Sec-Fetch-Site': 'same-origin',
          'Content-Type': 'application/x-www-form-urlencoded',
        },
      });
      expect(acted.status).toBe(200);
      expect((await service.history(Revenue, { schema: HOSTILE }))[0]?.trigger).toBe('demand');
      expect(await service.history(Revenue, { schema: ACME })).toHaveLength(before);

      const metrics = await registry.metrics();
      const ages = [...metrics.matchAll(/^materialized_view_age_seconds\{(.*)\} /gm)].map(
        ([, labels]) => labels,
      );
      const labels = (schema: string, view: string): string =>
        `data_source="default",schema="${schema.replaceAll('"', '\\"')}",view="${view}"`;
      expect(ages.sort()).toEqual(
        [
          labels(ACME, 'converted'),
          labels(ACME, 'revenue'),
          labels(HOSTILE, 'converted'),
          labels(HOSTILE, 'revenue'),
          labels('public', 'rates'),
        ].sort(),
      );
      const health = await app.get(MaterializedViewsHealthIndicator).isFresh('views');
      expect(Object.keys((health.views as unknown as { views: object }).views)).toHaveLength(5);
    } finally {
      await app.close();
    }
  });

  it('has migrations for all tenants, and for one that comes later, both ways', async () => {
    const policy = { synchronize: 'verify', onDrift: 'continue' } as const;
    let schema = await start(policy);
    const all = await schema.generateMigration({ name: 'AddViews' });
    await runMigrations(database, all, async (dataSource) => {
      await dataSource.runMigrations();
      await schema.verify();
      const there = await viewsThere();
      expect(there).toEqual(['public.rates', ...viewsOf(ACME), ...viewsOf(HOSTILE)].sort());

      await addTenant('late', 5);
      // With `verify`, nothing is created, but the missing views are reported.
      await schema.sync();
      expect(await viewsThere()).toEqual(there);
      const missing = new Set((await schema.diff()).map(({ view }) => view));
      expect([...missing].sort()).toEqual(viewsOf('late').sort());
      const one = await schema.generateMigration({ name: 'AddLate' });
      for (const other of [`"${ACME}"`, quoted(HOSTILE).replaceAll('"', '\\"')]) {
        expect(one?.source).not.toContain(other);
      }
      await runMigrations(database, one, async (later) => {
        await later.runMigrations();
        await schema.verify();
        expect((await refreshes().refresh(Converted, { schema: 'late' })).outcome).toBe(
          'refreshed',
        );
        await later.undoLastMigration();
        expect(await viewsThere()).toEqual(there);
      });
      tenants = [ACME, HOSTILE];
      schema = await start(policy);
      await schema.verify();
      await dataSource.undoLastMigration();
      expect(await viewsThere()).toEqual([]);
    });
    await database.query('DROP TABLE migrations');
  });

  it('renames the views of all, with their history', async () => {
    await start({}, [Revenue]);
    const ids = async (name: string): Promise<unknown> =>
      database.query(`SELECT oid::int FROM pg_class WHERE relname = $1 ORDER BY oid`, [name]);
    const before = await ids('revenue');
    const policy = { synchronize: 'verify', onDrift: 'continue' } as const;
    const schema = await start(policy, [Income]);
    const file = await schema.generateMigration({ name: 'Rename' });
    await runMigrations(database, file, async (dataSource) => {
      await dataSource.runMigrations();
      await schema.verify();
      await dataSource.undoLastMigration();
      expect(await ids('revenue')).toEqual(before);
    });
    await database.query('DROP TABLE migrations');
    await (await start({}, [Income])).verify();
    for (const schemaName of [ACME, HOSTILE]) {
      expect(await refreshes().history(Income, { schema: schemaName })).toHaveLength(1);
    }
  });

  it('lets a tenant go: reported, pruned, dropped with its schema, and back again', async () => {
    await start();
    tenants = [ACME];
    await start();
    expect(releases.warnings.filter((each) => each.includes(HOSTILE))).toHaveLength(4);
    expect(await viewsThere()).toHaveLength(9);
    await start({ prune: true });
    expect(await viewsThere()).toEqual(['public.rates', ...viewsOf(ACME)].sort());
    // The views are created anew, so they have this row at once.
    await database.query(`INSERT INTO ${quoted(HOSTILE)}.orders VALUES (2, 4)`);

    tenants = [ACME, HOSTILE];
    await (await start()).verify();
    expect(await inSchema(releases.get(DataSource).getRepository(Revenue), HOSTILE).find()).toEqual(
      [{ id: 1, total: 300 }],
    );
    // History survives, as for any view.
    expect(await refreshes().history(Revenue, { schema: HOSTILE })).toHaveLength(2);

    await database.query(`DROP SCHEMA ${quoted(HOSTILE)} CASCADE`);
    tenants = [ACME];
    expect(await releases.get(SchemaService).sync()).toEqual({
      added: [],
      removed: viewsOf(HOSTILE).map(
        (view) => expect.stringContaining(view.split('.')[1] ?? '') as unknown,
      ),
    });
    expect((await refreshes().refreshAll()).views).toHaveLength(3);
    for (const prune of [false, true]) {
      await (await start({ prune })).verify();
      expect(releases.warnings.filter((each) => each.includes(HOSTILE))).toEqual([]);
      const sent = await statementsOf(() => start({ prune }));
      expect(sent.filter((text) => text.startsWith('DROP'))).toEqual([]);
    }
  });

  it.each<[string, unknown, RegExp]>([
    ['throws', new Error('no tenants table'), /`schemas` threw an error: no tenants table/],
    ['names the catalog', ['pg_catalog'], /schemas/],
    ['names what is cut', ['x'.repeat(64)], /schemas/],
    ['names a part of a name', ['a.b'], /schemas/],
    ['names nothing', [''], /schemas/],
    ['gives rows', [{ schema: 'acme' }], /schemas/],
    ['gives text', 'acme', /schemas/],
    ['gives nothing', undefined, /schemas/],
  ])('refuses a function that %s, and keeps what it has', async (_, answer, said) => {
    await start();
    const views = releases.get(SchemaService).registered();
    const good = tenants;
    tenants = answer;
    await expect(releases.get(SchemaService).sync()).rejects.toThrow(said);
    await expect(releases.get(SchemaService).sync()).rejects.toThrow(InvalidDefinitionError);
    expect(releases.get(SchemaService).registered()).toEqual(views);
    await expect(start()).rejects.toThrow(said);
    tenants = good;
  });

  it('takes one name twice as one, and none as no view yet', async () => {
    tenants = [ACME, ACME];
    await start();
    expect(await viewsThere()).toEqual(['public.rates', ...viewsOf(ACME)].sort());
    tenants = [];
    const schema = await start({}, [Revenue]);
    expect(await refreshes().statusAll()).toEqual([]);
    expect((await refreshes().refreshAll()).views).toEqual([]);
    tenants = [HOSTILE];
    expect((await schema.sync()).added).toHaveLength(2);
  });

  it('boots 500 unchanged in as many statements as 5', async () => {
    const counts: number[] = [];
    @MaterializedViewEntity({
      name: 'flag',
      schemas,
      expression: () => 'SELECT 1 AS id',
      refresh: { cron: '0 0 1 1 *' },
    })
    class Flag {
      @PrimaryColumn('int') id!: number;
    }
    const app = (): ReturnType<typeof boot> =>
      boot(
        typeOrm(database, { autoLoadEntities: false, entities: [Flag] }),
        MaterializedViewsModule.forRoot({ views: [Flag], scheduling: false }),
      );
    for (const count of [5, 500]) {
      tenants = Array.from({ length: count }, (_, n) => `t${n}`);
      await (await app()).close();
      const sent = await statementsOf(async () => (await app()).close());
      counts.push(sent.length);
    }
    expect(counts[1]).toBe(counts[0]);
    const running = await app();
    const statuses = await running.get(RefreshService).statusAll({ timeout: '60s' });
    expect(statuses).toHaveLength(500);
    const ticks = new Set(statuses.map(({ nextTick }) => nextTick?.getTime()));
    expect(ticks.size).toBeGreaterThan(400);
    await running.close();
    await database.query(`DO $$ BEGIN FOR i IN 0..499 LOOP
      EXECUTE format('DROP SCHEMA t%s CASCADE', i);
    END LOOP; END $$`);
  }, 600_000);
});
