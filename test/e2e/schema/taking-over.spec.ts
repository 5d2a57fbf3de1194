import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DataSource, Index, ViewColumn, ViewEntity } from 'typeorm';
import { RefreshService } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

/** A view that another tool left in the database, and the class that takes it over. */
interface Origin {
  name: string;
  create: (database: TestDatabase, role: string) => Promise<unknown>;
  view: TestView;
}

const QUERY = 'SELECT day, sum(amount) AS revenue FROM orders GROUP BY day';

const bySql =
  (sql: (role: string) => string): Origin['create'] =>
  (database, role) =>
    database.query(sql(role));

@ViewEntity({ name: 'daily_revenue', materialized: true, expression: QUERY })
class ByTypeOrm {
  @Index('revenue_day', { unique: true })
  @ViewColumn()
  day!: string;

  @ViewColumn() revenue!: string;
}

/** Keeps the rows in `typeorm_metadata`: the tests also check that they do no harm. */
async function byTypeOrm(database: TestDatabase, role: string): Promise<void> {
  const source = new DataSource({
    type: 'postgres',
    url: database.url,
    synchronize: true,
    entities: [ByTypeOrm],
  });
  await source.initialize();
  await source.query(`GRANT SELECT ON daily_revenue TO ${role}`);
  await source.destroy();
}

/** The statements that django-pgviews-redux 0.9 and scenic 1.9 really run, plus what their users add. */
const ORIGINS: Origin[] = [
  {
    name: 'a migration, refreshed by @Cron or pg_cron',
    create: bySql(
      (role) => `
        CREATE SCHEMA analytics;
        CREATE MATERIALIZED VIEW analytics.daily_revenue WITH (fillfactor = 90) AS ${QUERY};
        CREATE UNIQUE INDEX ON analytics.daily_revenue (day);
        CREATE INDEX by_revenue ON analytics.daily_revenue (revenue DESC) INCLUDE (day);
        COMMENT ON MATERIALIZED VIEW analytics.daily_revenue IS 'For the report';
        COMMENT ON COLUMN analytics.daily_revenue.revenue IS 'In euros';
        GRANT USAGE ON SCHEMA analytics TO ${role};
        GRANT SELECT (day) ON analytics.daily_revenue TO ${role}`,
    ),
    view: {
      name: 'daily_revenue',
      schema: 'analytics',
      expression: QUERY,
      columns: ['day', 'revenue'],
      indexes: [{ name: 'daily_revenue_day_idx', keys: ['day'], unique: true }],
    },
  },
  {
    name: 'django-pgviews: a view on a plain view',
    create: bySql(
      (role) => `
        CREATE OR REPLACE VIEW open_day AS SELECT day AS id, day, sum(amount) AS revenue FROM orders GROUP BY day;
        CREATE MATERIALIZED VIEW daily_revenue AS SELECT id, day, revenue FROM open_day WITH DATA;
        CREATE UNIQUE INDEX daily_revenue_id_index ON daily_revenue (id);
        CREATE INDEX daily_reven_revenue_4e1c72_idx ON daily_revenue (revenue);
        GRANT SELECT ON daily_revenue, open_day TO ${role} WITH GRANT OPTION`,
    ),
    view: {
      name: 'daily_revenue',
      expression: 'SELECT id, day, revenue FROM open_day',
      columns: ['id', 'day', 'revenue'],
      indexes: [
        { name: 'daily_revenue_id_index', keys: ['id'], unique: true },
        { name: 'daily_reven_revenue_4e1c72_idx', keys: ['revenue'] },
      ],
    },
  },
  {
    name: 'scenic, after a side-by-side update',
    create: bySql(
      (role) => `
        CREATE MATERIALIZED VIEW "daily_revenues" AS SELECT day FROM orders GROUP BY day;
        CREATE UNIQUE INDEX "index_daily_revenues_on_day" ON "daily_revenues" ("day");
        CREATE MATERIALIZED VIEW "_scenic_sbs_bb3b" AS ${QUERY};
        ALTER INDEX "index_daily_revenues_on_day" RENAME TO "_scenic_sbs_c484";
        CREATE UNIQUE INDEX index_daily_revenues_on_day ON public._scenic_sbs_bb3b USING btree (day);
        DROP MATERIALIZED VIEW "daily_revenues";
        ALTER MATERIALIZED VIEW _scenic_sbs_bb3b RENAME TO daily_revenues;
        GRANT SELECT ON daily_revenues TO ${role}`,
    ),
    view: {
      name: 'daily_revenues',
      expression: `${QUERY};`,
      columns: ['day', 'revenue'],
      indexes: [{ name: 'index_daily_revenues_on_day', keys: ['day'], unique: true }],
    },
  },
  {
    name: "TypeORM's @ViewEntity",
    create: byTypeOrm,
    view: {
      name: 'daily_revenue',
      expression: QUERY,
      columns: ['day', 'revenue'],
      indexes: [{ name: 'revenue_day', keys: ['day'], unique: true }],
    },
  },
  {
    name: 'WITH NO DATA, and without an index',
    create: bySql(
      (role) => `
        CREATE MATERIALIZED VIEW daily_revenue AS ${QUERY} WITH NO DATA;
        GRANT SELECT ON daily_revenue TO ${role}`,
    ),
    view: {
      name: 'daily_revenue',
      expression: QUERY,
      columns: ['day', 'revenue'],
      withData: false,
    },
  },
];

describe.each(ORIGINS)('a materialized view from $name', ({ create, view }) => {
  let database: TestDatabase;
  let releases: Releases;
  let role: string;

  beforeAll(async () => {
    database = await TestDatabase.create();
    role = `reader_${database.name}`;
    await database.query(`CREATE ROLE ${role}`);
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, analytics, public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE orders (day date, amount numeric);
      INSERT INTO orders VALUES ('2026-01-01', 5), ('2026-01-01', 7)`);
    await create(database, role);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  const qualified = `${view.schema ?? 'public'}.${view.name}`;

  /** Changes with every rebuild and every blocking refresh. */
  const storage = (): Promise<unknown> =>
    database.query('SELECT oid, relfilenode FROM pg_class WHERE oid = $1::regclass', [qualified]);

  it.each(['create', true, 'verify'] as const)(
    'is taken over as it is, with synchronize: %p',
    async (synchronize) => {
      const [before, stored] = [await catalog(database), await storage()];
      const schema = await releases.start([view], { synchronize }, { synchronize: true });

      expect(await catalog(database)).toEqual(before);
      expect(await storage()).toEqual(stored);
      expect(releases.reports).toMatchObject([
        { views: [{ view: qualified, outcome: 'unchanged' }] },
      ]);
      expect(await schema.diff()).toEqual([]);
      expect(releases.warnings.filter((text) => text.includes('not as declared'))).toEqual([]);
    },
  );

  it('gets a second index if the class names one differently', async () => {
    const before = (await catalog(database)) as { indexes: object[] };
    const indexes = [{ name: 'by_another_name', keys: ['day'], unique: true }];
    await releases.start([{ ...view, indexes }], { synchronize: 'create' });
    const after = (await catalog(database)) as { indexes: object[] };
    expect(after.indexes).toHaveLength(before.indexes.length + 1);
    expect(after.indexes).toEqual(expect.arrayContaining(before.indexes));
  });

  it('is refreshed, and keeps what it was given if its class changes', async () => {
    await releases.start([view], { synchronize: 'create' });
    const before = (await catalog(database)) as { views: object[]; indexes: object[] };
    await database.query(`INSERT INTO orders VALUES ('2026-01-02', 1)`);
    const result = await releases.get(RefreshService).refresh(qualified);
    const mode = view.indexes === undefined ? 'blocking' : 'concurrently';
    expect(result).toMatchObject({ outcome: 'refreshed', mode });
    expect(await database.query(`SELECT revenue FROM ${qualified} ORDER BY day`)).toEqual([
      { revenue: '12' },
      { revenue: '1' },
    ]);

    const expression = `SELECT s.*, 1 AS one FROM (${view.expression.replace(';', '')}) s`;
    await releases.start([{ ...view, expression }], { synchronize: true });
    expect(await database.query(`SELECT one FROM ${qualified}`)).toHaveLength(2);
    const after = (await catalog(database)) as { views: object[]; indexes: object[] };
    expect(after.indexes).toEqual(before.indexes);
    const given = ({ owner, acl, comment, reloptions }: Record<string, unknown>): object => ({
      acl: String(acl),
      comment,
      owner,
      reloptions,
    });
    expect(after.views.map((each) => given({ ...each }))).toEqual(
      before.views.map((each) => given({ ...each })),
    );
  });
});
