import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { Client } from 'pg';
import type { TestingModule } from '@nestjs/testing';
import {
  DependencyCycleError,
  MaterializedViewsModule,
  PlanOutdatedError,
  RefreshService,
  SchemaDriftError,
  SchemaService,
  SchemaSyncError,
  MaterializedViewChannels,
  type SyncReport,
  UnmanagedDependentsError,
} from '../../../lib/index.js';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { catalog } from '../../support/catalog.js';
import { bootRelease } from '../../support/test-app.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { type TestView } from '../../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

describe('changing views', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let reports: SyncReport[] = [];
  const collect = (report: unknown): void => void reports.push(report as SyncReport);

  beforeAll(async () => {
    subscribe(MaterializedViewChannels.sync, collect);
    database = await TestDatabase.create();
    for (const role of ['one', 'two']) {
      await database.query(`CREATE ROLE "${role}_${database.name}"`);
    }
  });

  beforeEach(async () => {
    reports = [];
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE`);
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
    unsubscribe(MaterializedViewChannels.sync, collect);
    await database.query(`DROP OWNED BY "one_${database.name}", "two_${database.name}" CASCADE`);
    await database.query(`DROP ROLE "one_${database.name}", "two_${database.name}"`);
    await database.drop();
  });

  /** Boots a release of the application with these views in place of the previous one. */
  async function release(views: TestView[], options: Options = {}): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    app = await bootRelease(database, views, options);
    return app.get(SchemaService);
  }

  const oidOf = async (name: string): Promise<unknown> =>
    (await database.query(`SELECT to_regclass($1)::oid AS oid`, [name]))[0]?.oid;

  const daily: TestView = {
    name: 'daily',
    expression: 'SELECT day, sum(amount) AS total FROM orders GROUP BY day',
    columns: ['day', 'total'],
    key: ['day'],
  };
  const weekly: TestView = {
    name: 'weekly "Total"',
    schema: 'Far away',
    expression: 'SELECT sum(total) AS total FROM public.daily',
    columns: ['total'],
  };

  describe('unchanged', () => {
    it('costs a constant number of queries for any number of views', async () => {
      const queries = jest.spyOn(Client.prototype, 'query');
      const many = Array.from({ length: 20 }, (_, i): TestView => ({
        name: `many_${i}`,
        expression: i === 0 ? 'SELECT id FROM orders' : `SELECT id FROM many_${i - 1}`,
        key: ['id'],
      }));
      const costs: number[] = [];
      for (const views of [[daily], [daily, ...many]]) {
        await release(views);
        await release(views);
        queries.mockClear();
        await app?.get(SchemaService).diff();
        costs.push(queries.mock.calls.length);
      }
      queries.mockRestore();
      expect(costs[0]).toBeGreaterThan(5);
      expect(costs[1]).toBe(costs[0]);
    });

    it('does nothing', async () => {
      await release([daily, weekly]);
      const before = await catalog(database);
      const schema = await release([daily, weekly]);
      expect(reports.at(-1)?.counts).toMatchObject({ unchanged: 2, created: 0, changed: 0 });
      expect(await schema.diff()).toEqual([]);
      expect((await schema.plan()).steps).toEqual([]);
      expect(await catalog(database)).toEqual(before);
    });

    it.each([
      ['white space', 'SELECT   day,\n\n sum( amount )  AS total\tFROM orders GROUP BY day'],
      [
        'comments',
        'SELECT day, /* per day */ sum(amount) AS total -- in cents\nFROM orders GROUP BY day',
      ],
      ['a semicolon', 'SELECT day, sum(amount) AS total FROM orders GROUP BY day;'],
      [
        'case and qualification',
        'select orders.day, SUM(orders.amount) as total from public.orders group by orders.day',
      ],
    ])('does not take %s for a change', async (_, expression) => {
      await release([daily, weekly]);
      const before = [await oidOf('daily'), await oidOf('"Far away"."weekly ""Total"""')];
      await release([{ ...daily, expression }, weekly]);
      expect([await oidOf('daily'), await oidOf('"Far away"."weekly ""Total"""')]).toEqual(before);
      expect(reports.at(-1)?.counts).toMatchObject({ unchanged: 2, changed: 0 });
    });
  });

  describe('a changed definition', () => {
    it('is rebuilt with what reads it, including new columns', async () => {
      await release([daily, weekly]);
      await release([
        {
          ...daily,
          expression: `${daily.expression} HAVING sum(amount) > 1`,
          columns: ['day', 'total'],
        },
        weekly,
      ]);
      expect(await database.query('SELECT * FROM daily')).toEqual([{ day: 'tue', total: '5' }]);
      expect(await database.query('SELECT * FROM "Far away"."weekly ""Total"""')).toEqual([
        { total: '5' },
      ]);
      expect(reports.at(-1)?.views).toEqual([
        { view: 'public.daily', outcome: 'changed', reason: 'Its definition changed' },
        {
          view: 'Far away.weekly "Total"',
          outcome: 'changed',
          reason: 'It reads a view that is rebuilt',
        },
      ]);
      await release([
        {
          ...daily,
          expression:
            'SELECT day, sum(amount) AS total, count(*) AS orders FROM orders GROUP BY day',
        },
        { ...weekly, expression: 'SELECT sum(orders) AS total FROM public.daily' },
      ]);
      expect(await database.query('SELECT * FROM "Far away"."weekly ""Total"""')).toEqual([
        { total: '3' },
      ]);
      const temporary = await database.query(
        `SELECT relname FROM pg_class WHERE relname LIKE 'mv_build%'`,
      );
      expect(temporary).toEqual([]);
    });

    it('is noticed if SELECT * has a new column below', async () => {
      const all: TestView = { name: 'everything', expression: 'SELECT * FROM orders' };
      const schema = await release([all]);
      expect(await schema.diff()).toEqual([]);
      await database.query('ALTER TABLE orders ADD COLUMN note text');
      expect(await schema.diff()).toEqual([
        { view: 'public.everything', kind: 'definition', description: expect.any(String) },
      ]);
      await release([all]);
      expect(Object.keys((await database.query('SELECT * FROM everything'))[0] ?? {})).toContain(
        'note',
      );
    });

    it('is noticed if made in the database by hand', async () => {
      const schema = await release([daily]);
      await database.query(`DROP MATERIALIZED VIEW daily`);
      await database.query(
        `CREATE MATERIALIZED VIEW daily AS SELECT 'x' AS day, 1::bigint AS total`,
      );
      expect(await schema.diff()).toEqual([
        {
          view: 'public.daily',
          kind: 'definition',
          description: 'its definition was changed in the database',
        },
        {
          view: 'public.daily',
          kind: 'index-missing',
          description: 'index "daily_key" is missing',
        },
      ]);
      await release([daily]);
      expect(await database.query('SELECT count(*)::int FROM daily')).toEqual([{ count: 2 }]);
    });

    it.each(['side-by-side', 'drop-and-create'] as const)(
      'keeps everything that belongs to it, %s',
      async (rebuildStrategy) => {
        const [one, two] = [`"one_${database.name}"`, `"two_${database.name}"`];
        await release([daily, weekly]);
        for (const statement of [
          `CREATE INDEX "By Hand" ON daily (lower(day), total DESC) WHERE total > 0`,
          `ALTER INDEX "By Hand" ALTER COLUMN 1 SET STATISTICS 77`,
          `COMMENT ON INDEX "By Hand" IS 'it''s mine'`,
          `COMMENT ON INDEX daily_key IS 'the key'`,
          `COMMENT ON MATERIALIZED VIEW daily IS 'daily "totals"'`,
          `COMMENT ON COLUMN daily.total IS 'in cents'`,
          `ALTER MATERIALIZED VIEW daily ALTER COLUMN day SET STATISTICS 55`,
          `ALTER MATERIALIZED VIEW daily ALTER COLUMN day SET (n_distinct = 7)`,
          `ALTER MATERIALIZED VIEW daily ALTER COLUMN day SET STORAGE EXTERNAL`,
          `ALTER MATERIALIZED VIEW daily SET (fillfactor = 80, autovacuum_enabled = false)`,
          `ALTER MATERIALIZED VIEW daily CLUSTER ON daily_key`,
          `CREATE STATISTICS "Hand Made" (ndistinct) ON day, total FROM daily`,
          `COMMENT ON STATISTICS "Hand Made" IS 'for the planner'`,
          `ALTER STATISTICS "Hand Made" SET STATISTICS 33`,
          `GRANT SELECT ON daily TO PUBLIC`,
          `GRANT SELECT, INSERT ON daily TO ${two} WITH GRANT OPTION`,
          `GRANT SELECT (total), UPDATE (day) ON daily TO ${two}`,
          `ALTER MATERIALIZED VIEW daily OWNER TO ${one}`,
          `GRANT SELECT ON orders TO ${one}`,
          `GRANT CREATE, USAGE ON SCHEMA public TO ${one}`,
          `GRANT SELECT ON "Far away"."weekly ""Total""" TO ${two}`,
          `COMMENT ON MATERIALIZED VIEW "Far away"."weekly ""Total""" IS 'weekly'`,
          `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${two}`,
        ]) {
          await database.query(statement);
        }
        const before = await catalog(database);
        await release(
          [{ ...daily, expression: `${daily.expression} HAVING count(*) > 0` }, weekly],
          {
            rebuildStrategy,
          },
        );
        const after = await catalog(database);
        const withoutDefinition = (text: unknown): unknown =>
          JSON.parse(
            JSON.stringify(text).replace(
              / HAVING \(count\(\*\) > 0\)|\\n *HAVING \(count\(\*\) > 0\)/g,
              '',
            ),
          );
        expect(withoutDefinition(after)).toEqual(before);
        expect(JSON.stringify(after)).toContain('HAVING');
        await database.query(`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM ${two}`);
      },
    );

    it('names the hand-made index that cannot be kept, and keeps the others', async () => {
      await release([{ ...daily, indexes: [{ name: 'declared_once', keys: ['total'] }] }]);
      await database.query('CREATE INDEX on_total ON daily (total)');
      await database.query('CREATE INDEX on_day ON daily (lower(day))');
      await release([
        { ...daily, expression: 'SELECT DISTINCT day FROM orders', columns: ['day'] },
      ]);
      const indexes = await database.query(
        `SELECT indexname FROM pg_indexes WHERE tablename = 'daily' ORDER BY 1`,
      );
      expect(indexes).toEqual([{ indexname: 'daily_key' }, { indexname: 'on_day' }]);
      expect(reports.at(-1)?.views[0]?.reason).toMatch(
        /; index "on_total", made by hand, cannot be kept/,
      );
    });

    it('leaves the old view if the new one fails', async () => {
      await release([daily, weekly]);
      const before = await catalog(database);
      await expect(
        release([
          {
            ...daily,
            expression: 'SELECT day, 1 / (sum(amount) - 1) AS total FROM orders GROUP BY day',
          },
          weekly,
        ]),
      ).rejects.toThrow(SchemaSyncError);
      expect(reports.at(-1)?.views).toEqual([
        { view: 'public.daily', outcome: 'failed', reason: 'division by zero' },
        { view: 'Far away.weekly "Total"', outcome: 'unchanged' },
      ]);
      await expect(
        release([{ ...daily, expression: 'SELECT nothing FROM orders' }, weekly]),
      ).rejects.toThrow(/"public\.daily".*42703/);
      expect(await catalog(database)).toEqual(before);
    });

    it.each(['side-by-side', 'drop-and-create'] as const)(
      "computes rows %s within the module's limits, not within those for waiting",
      async (rebuildStrategy) => {
        const limits = `SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement`;
        const limited = { name: 'limited', expression: limits, columns: ['lock', 'statement'] };
        const options = {
          lockTimeout: '7s',
          statementTimeout: '9m',
          syncTimeout: '11s',
        } as const;
        await release([limited], { ...options, rebuildStrategy });
        const changed = { ...limited, expression: `${limits}, 2 AS release` };
        await release([changed], { ...options, rebuildStrategy });
        expect(await database.query('SELECT * FROM limited')).toEqual([
          { lock: '7s', statement: '9min', release: 2 },
        ]);
      },
    );

    it('keeps row data out of the error and the report', async () => {
      await release([daily]);
      const error = await release([
        { ...daily, expression: `SELECT day, ('secret-' || day)::int AS total FROM orders` },
      ]).catch((refusal: unknown) => refusal);
      expect(error).toMatchObject({ code: 'MV_SCHEMA_SYNC_FAILED', cause: { code: '22P02' } });
      expect(String(error)).toContain(
        "22P02: invalid text representation (PostgreSQL's text may hold row data, and is only in the cause)",
      );
      expect(JSON.stringify([String(error), reports])).not.toContain('secret-');
    });
  });

  describe('indexes, storage, comment and data', () => {
    it('changes only what changed', async () => {
      await release([
        {
          ...daily,
          indexes: [
            { name: 'daily_total', keys: ['total'] },
            { name: 'daily_old', keys: ['day'] },
          ],
        },
      ]);
      await database.query('CREATE INDEX by_hand ON daily (total)');
      const oid = await oidOf('daily');
      const schema = await release(
        [
          {
            ...daily,
            storage: { fillfactor: 70 },
            comment: 'Per day',
            indexes: [
              { name: 'daily_total', keys: [{ property: 'total', order: 'DESC' }] },
              { name: 'daily_new', keys: [{ expression: 'lower(day)' }] },
            ],
          },
        ],
        { synchronize: 'verify' },
      );
      const { steps } = await schema.plan();
      expect(
        steps.map(({ action, reason, rewritesRows }) => [action, reason, rewritesRows]),
      ).toEqual([
        ['index', 'Index "daily_total" changed', false],
        ['index', 'Index "daily_new" is missing', false],
        ['alter', 'Its storage parameters changed', false],
        ['alter', 'Its comment changed', false],
        // These steps make readers wait.
        ['index', 'Index "daily_total" changed', false],
        ['index', 'Index "daily_old" is no longer declared', false],
        ['index', 'Index "daily_total" changed', false],
      ]);
      await schema.apply(await schema.plan());
      expect(await schema.diff()).toEqual([]);
      expect(await oidOf('daily')).toBe(oid);
      const indexes = await database.query<{ indexdef: string }>(
        `SELECT indexdef FROM pg_indexes WHERE tablename = 'daily' ORDER BY indexname`,
      );
      expect(indexes.map(({ indexdef }) => indexdef)).toEqual([
        'CREATE INDEX by_hand ON public.daily USING btree (total)',
        'CREATE UNIQUE INDEX daily_key ON public.daily USING btree (day)',
        'CREATE INDEX daily_new ON public.daily USING btree (lower(day))',
        'CREATE INDEX daily_total ON public.daily USING btree (total DESC)',
      ]);
    });

    it('moves to another tablespace, and to another access method', async () => {
      const place = `/tmp/tablespace-${database.name}`;
      await database.query(`COPY (SELECT 1) TO PROGRAM 'cat > /dev/null; mkdir -p ${place}'`);
      await database.query(`CREATE TABLESPACE "Other ${database.name}" LOCATION '${place}'`);
      await database.query(`CREATE ACCESS METHOD "Heap 2" TYPE TABLE HANDLER heap_tableam_handler`);
      await release([daily]);
      await database.query('CREATE INDEX by_hand ON daily (total)');
      await database.query(`ALTER INDEX by_hand SET TABLESPACE "Other ${database.name}"`);
      const elsewhere = { ...daily, tablespace: `Other ${database.name}` };
      await release([elsewhere]);
      expect(reports.at(-1)?.views[0]?.reason).toBe('Its tablespace is "pg_default"');
      const schema = await release([{ ...elsewhere, accessMethod: 'Heap 2' }]);
      expect(reports.at(-1)?.views[0]?.reason).toBe('Its access method changed');
      expect(await schema.diff()).toEqual([]);
      const { views, indexes } = (await catalog(database)) as Record<string, object[]>;
      expect(views?.[0]).toMatchObject({ tablespace: elsewhere.tablespace, method: 'Heap 2' });
      expect(indexes).toMatchObject([
        { definition: expect.stringContaining('by_hand'), tablespace: elsewhere.tablespace },
        { definition: expect.stringContaining('daily_key'), tablespace: null },
      ]);
      await release([{ ...daily, tablespace: 'pg_default', accessMethod: 'heap' }]);
      await database.query('DROP MATERIALIZED VIEW daily');
      await database.query(`DROP TABLESPACE "Other ${database.name}"`);
      await database.query(`DROP ACCESS METHOD "Heap 2"`);
    });

    it('waits for a running refresh before it adds an index', async () => {
      await release([daily]);
      const other = await database.session();
      await other.query('BEGIN');
      const key = refreshLockKey({ schema: 'public', name: 'daily' });
      await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);
      await other.query('REFRESH MATERIALIZED VIEW CONCURRENTLY daily');
      const indexed = { ...daily, indexes: [{ name: 'daily_total', keys: ['total'] }] };
      const booting = release([indexed], { lockTimeout: 50 });
      await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted`);
      await other.query('COMMIT');
      await other.end();
      await booting;
      expect(reports.at(-1)?.counts).toMatchObject({ indexed: 1 });
    });

    it('refuses WITH NO DATA in the query, which would leave a view empty that counts as filled', async () => {
      await expect(
        release([{ ...daily, expression: `${daily.expression} WITH NO DATA` }]),
      ).rejects.toMatchObject({ view: 'public.daily', cause: { code: '42601' } });
      expect(await oidOf('daily')).toBeNull();
    });

    it('reports an index-only change as indexed', async () => {
      await release([daily]);
      await release([{ ...daily, indexes: [{ name: 'daily_total', keys: ['total'] }] }]);
      expect(reports.at(-1)?.counts).toMatchObject({ indexed: 1, changed: 0, unchanged: 0 });
    });

    it('leaves a view empty with withData: false, and fills one that should have data', async () => {
      await release([{ ...daily, withData: false }]);
      await expect(database.query('SELECT * FROM daily')).rejects.toMatchObject({ code: '55000' });
      await release([{ ...daily, withData: false }]);
      await release([daily]);
      expect(await database.query('SELECT * FROM daily')).toHaveLength(2);
      expect(reports.at(-1)?.views[0]).toMatchObject({
        outcome: 'changed',
        reason: 'It has no data yet',
      });
    });

    it('says which view to fill first, if one reads an empty one', async () => {
      const below: TestView = { name: 'below', expression: 'SELECT 1 AS id', withData: false };
      await expect(
        release([below, { name: 'above', expression: 'SELECT id FROM below' }]),
      ).rejects.toThrow(/"public\.above" .*55000: .*refresh that one first, or give both/s);
    });

    it('fills views in order of dependency, through plain views too', async () => {
      const below: TestView = { name: 'a_below', expression: 'SELECT id FROM orders' };
      await release([{ ...below, withData: false }]);
      await database.query('CREATE VIEW in_between AS SELECT id FROM a_below');
      const above: TestView = { name: 'z_above', expression: 'SELECT id FROM in_between' };
      await release([
        { ...above, withData: false },
        { ...below, withData: false },
      ]);
      await release([above, below]);
      expect(await database.query('SELECT * FROM z_above')).toHaveLength(3);
    });

    it('does not fill a view that reads an unpopulated one through a plain view', async () => {
      const below: TestView = { name: 'a_below', expression: 'SELECT id FROM orders' };
      await release([{ ...below, withData: false }]);
      await database.query('CREATE VIEW in_between AS SELECT id FROM a_below');
      const above: TestView = {
        name: 'z_above',
        expression: 'SELECT id FROM in_between',
        withData: false,
      };
      await release([above, { ...below, withData: false }]);
      await database.query('REFRESH MATERIALIZED VIEW a_below');
      await database.query('REFRESH MATERIALIZED VIEW z_above');
      await database.query('REFRESH MATERIALIZED VIEW a_below WITH NO DATA');
      const changed = { ...below, expression: 'SELECT id + 1 AS id FROM orders', withData: false };
      await release([above, changed], { unmanagedDependents: 'rebuild' });
      await expect(database.query('SELECT * FROM z_above')).rejects.toMatchObject({
        code: '55000',
      });
    });

    it('replaces a plain view, and keeps its grants', async () => {
      await database.query(`CREATE VIEW daily AS SELECT day, 0 AS total FROM orders`);
      await database.query(`GRANT SELECT ON daily TO PUBLIC`);
      await release([daily]);
      const [row] = await database.query(
        `SELECT relkind, relacl::text FROM pg_class WHERE relname = 'daily'`,
      );
      expect(row?.relkind).toBe('m');
      expect(row?.relacl).toContain('=r/postgres');
    });
  });

  describe('a rename', () => {
    it('keeps rows, history and what reads the view', async () => {
      await release([daily, weekly]);
      const oid = await oidOf('daily');
      await release([
        { ...daily, name: 'per_day', schema: 'Far away', renamedFrom: 'public.daily' },
        { ...weekly, expression: 'SELECT sum(total) AS total FROM "Far away".per_day' },
      ]);
      expect(await oidOf('"Far away".per_day')).toBe(oid);
      expect(reports.at(-1)?.counts).toMatchObject({ changed: 1, unchanged: 1, orphaned: 0 });
      const history = await database.query(
        `SELECT schema_name, view_name FROM materialized_views.refresh_history ORDER BY 2`,
      );
      expect(history).toEqual([
        { schema_name: 'Far away', view_name: 'per_day' },
        { schema_name: 'Far away', view_name: 'weekly "Total"' },
      ]);
    });

    it('by hand moves the state and history too', async () => {
      await release([daily]);
      await app?.get(RefreshService).pause('public.daily');
      await database.query('ALTER MATERIALIZED VIEW daily RENAME TO per_day');
      await release([{ ...daily, name: 'per_day', renamedFrom: 'daily' }]);
      expect(await app?.get(RefreshService).status('public.per_day')).toMatchObject({
        isPaused: true,
      });
    });

    it('may come with a change of the definition', async () => {
      await release([daily, weekly]);
      const schema = await release([
        {
          ...daily,
          name: 'per_day',
          renamedFrom: 'daily',
          expression: `${daily.expression} HAVING count(*) > 1`,
        },
        { ...weekly, expression: 'SELECT sum(total) AS total FROM per_day' },
      ]);
      expect(await database.query('SELECT * FROM per_day')).toEqual([{ day: 'tue', total: '5' }]);
      expect(await oidOf('daily')).toBeNull();
      expect(await schema.diff()).toEqual([]);
    });
  });

  describe('order', () => {
    it('follows the catalog: long chains, diamonds, plain views between, names within names', async () => {
      await database.query('CREATE VIEW "plain between" AS SELECT id FROM orders');
      const chain = Array.from({ length: 14 }, (_, i): TestView => ({
        name: `v${'1'.repeat(i + 1)}`,
        expression: i === 0 ? 'SELECT id FROM "plain between"' : `SELECT id FROM v${'1'.repeat(i)}`,
      }));
      const diamond: TestView[] = [
        { name: 'bottom', expression: 'SELECT * FROM v1' },
        { name: 'left', expression: 'SELECT id FROM bottom' },
        { name: 'right', expression: 'SELECT id FROM bottom' },
        { name: 'top', expression: 'SELECT l.id FROM "left" l JOIN "right" r USING (id)' },
      ];
      const views = [...chain, ...diamond].reverse();
      const schema = await release(views);
      const order = await schema.order();
      expect(order).toHaveLength(18);
      expect(order.indexOf('public.top')).toBeGreaterThan(order.indexOf('public.left'));
      await release([
        ...views.slice(0, -1),
        { name: 'v1', expression: 'SELECT id, 1 AS one FROM "plain between"' },
      ]);
      expect(reports.at(-1)?.counts.changed).toBe(18);
      const again = app?.get(SchemaService);
      expect(await again?.diff()).toEqual([]);
      expect(await again?.dependents(`public.left`)).toEqual(['public.top']);
      expect((await again?.dependencies(`public.top`))?.sort()).toEqual([
        'public.left',
        'public.right',
      ]);
    });

    it('refuses a circle, with its path', async () => {
      await expect(
        release([
          { name: 'hen', expression: 'SELECT id FROM egg' },
          { name: 'egg', expression: 'SELECT id FROM chick' },
          { name: 'chick', expression: 'SELECT id FROM hen' },
          daily,
        ]),
      ).rejects.toThrow(DependencyCycleError);
      await expect(
        release([
          { name: 'hen', expression: 'SELECT 1 AS id', dependsOn: ['egg'] },
          { name: 'egg', expression: 'SELECT 1 AS id', dependsOn: ['hen'] },
        ]),
      ).rejects.toThrow(/in a circle: "public\.hen" -> "public\.egg" -> "public\.hen"/);
      expect(await oidOf('daily')).toBeNull();
    });

    it('uses dependsOn for what functions read', async () => {
      await database.query(`CREATE FUNCTION total() RETURNS bigint LANGUAGE plpgsql STABLE
        AS 'BEGIN RETURN (SELECT sum(total) FROM public.daily); END'`);
      await release([
        { name: 'above', expression: 'SELECT total() AS id', dependsOn: ['daily'] },
        daily,
      ]);
      expect(await database.query('SELECT * FROM above')).toEqual([{ id: '6' }]);
    });
  });

  describe('dependents that the library does not manage', () => {
    const changed = { ...daily, expression: `${daily.expression} HAVING count(*) > 0` };

    it.each([
      ['a view', 'CREATE VIEW report AS SELECT * FROM daily', 'view public.report'],
      [
        'a materialized view',
        'CREATE MATERIALIZED VIEW report AS SELECT * FROM daily',
        'materialized view public.report',
      ],
      [
        'a function',
        `CREATE FUNCTION report(daily) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
        'function public.report(public.daily)',
      ],
      ['a table with a column of its type', 'CREATE TABLE report (d daily)', 'table public.report'],
    ])('stop the change before anything happens: %s', async (_, statement, description) => {
      await release([daily]);
      await database.query(statement);
      const before = await catalog(database);
      const failure: unknown = await release([changed]).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(UnmanagedDependentsError);
      expect(String(failure)).toContain(description);
      expect(await catalog(database)).toEqual(before);
    });

    it('are rebuilt with their grants, if they are plain views and that was requested', async () => {
      await release([daily, weekly]);
      await database.query('CREATE VIEW report AS SELECT day, total FROM daily');
      await database.query(`GRANT SELECT ON report TO PUBLIC`);
      await database.query(`COMMENT ON VIEW report IS 'for the boss'`);
      await database.query(
        'CREATE VIEW summary WITH (security_barrier) AS SELECT count(*) FROM report',
      );
      await database.query(`COMMENT ON COLUMN summary.count IS 'of days'`);
      const [before] = [await catalog(database)];
      await release([changed, weekly], { unmanagedDependents: 'rebuild' });
      const after = await catalog(database);
      const plain = (state: Record<string, unknown>): unknown =>
        (state.views as { relkind: string }[]).filter(({ relkind }) => relkind === 'v');
      expect(plain(after)).toEqual(plain(before));
      expect(after.columns).toEqual(before.columns);
      expect(await database.query('SELECT * FROM summary')).toEqual([{ count: '2' }]);
    });
  });

  describe('orphans', () => {
    it('are reported, and dropped only with prune', async () => {
      await release([daily, weekly]);
      await database.query('CREATE MATERIALIZED VIEW not_ours AS SELECT 1');
      await release([daily]);
      expect(reports.at(-1)?.views).toContainEqual({
        view: 'Far away.weekly "Total"',
        outcome: 'orphaned',
        reason: 'no class declares it',
      });
      await release([daily], { prune: true });
      expect(await oidOf('"Far away"."weekly ""Total"""')).toBeNull();
      expect(await oidOf('not_ours')).not.toBeNull();
      expect(await oidOf('daily')).not.toBeNull();
    });
  });

  describe('policies', () => {
    const changed = { ...daily, expression: `${daily.expression} HAVING count(*) > 1` };

    it("'create' creates what is missing and leaves the rest, with a warning", async () => {
      await release([daily]);
      const oid = await oidOf('daily');
      await release([changed, weekly], { synchronize: 'create' });
      expect(await oidOf('daily')).toBe(oid);
      expect(await oidOf('"Far away"."weekly ""Total"""')).not.toBeNull();
      expect(reports.at(-1)?.views).toEqual([
        { view: 'public.daily', outcome: 'skipped', reason: 'its definition changed' },
        { view: 'Far away.weekly "Total"', outcome: 'created', reason: 'It is missing' },
      ]);
    });

    it("is 'create' in production", async () => {
      await release([daily]);
      const environment = process.env.NODE_ENV;
      process.env.NODE_ENV = 'production';
      try {
        await release([changed]);
      } finally {
        process.env.NODE_ENV = environment;
      }
      expect(reports.at(-1)?.counts).toMatchObject({ skipped: 1, changed: 0 });
    });

    it("'verify' changes nothing, and onDrift: 'fail' refuses to boot", async () => {
      await release([daily]);
      const before = await catalog(database);
      await release([changed, weekly], { synchronize: 'verify' });
      expect(reports.at(-1)?.counts).toMatchObject({ skipped: 2 });
      await expect(
        release([changed, weekly], { synchronize: 'verify', onDrift: 'fail' }),
      ).rejects.toThrow(SchemaDriftError);
      await expect(release([changed], { onDrift: 'fail' })).rejects.toThrow(
        /"public\.daily": its definition changed/,
      );
      expect(await catalog(database)).toEqual(before);
    });

    it('false does not even read the database', async () => {
      await release([daily], { synchronize: false });
      expect(await oidOf('daily')).toBeNull();
      expect(reports).toEqual([]);
    });

    it('never lets an older version undo a newer one', async () => {
      await release([{ ...changed, version: 2 }]);
      const oid = await oidOf('daily');
      await release([{ ...daily, version: 1 }]);
      await release([{ ...changed, version: 2 }]);
      await release([{ ...daily, version: 1 }]);
      expect(await oidOf('daily')).toBe(oid);
      expect(reports.at(-1)?.views[0]).toMatchObject({
        outcome: 'skipped',
        reason: 'its definition changed; the database has version 2, and this process version 1',
      });
      // A release without a version keeps the one in the database.
      await release([{ ...changed, comment: 'of no version' }]);
      await release([{ ...daily, version: 1 }]);
      expect(await oidOf('daily')).toBe(oid);
      await release([{ ...daily, version: 3 }]);
      expect(await oidOf('daily')).not.toBe(oid);
    });

    it('leaves out views that read a missing table, if requested', async () => {
      await release(
        [
          { name: 'broken', expression: 'SELECT id FROM nowhere' },
          { name: 'above', expression: 'SELECT id FROM broken' },
          daily,
        ],
        { onMissingTable: 'skip' },
      );
      expect(reports.at(-1)?.views).toEqual([
        { view: 'public.broken', outcome: 'skipped', reason: 'relation "nowhere" does not exist' },
        { view: 'public.above', outcome: 'skipped', reason: 'relation "broken" does not exist' },
        { view: 'public.daily', outcome: 'created', reason: 'It is missing' },
      ]);
    });
  });

  describe('SchemaService', () => {
    it('refuses a plan that is out of date', async () => {
      await release([daily]);
      const schema = await release([{ ...daily, comment: 'new' }], { synchronize: 'verify' });
      const plan = await schema.plan();
      await database.query(`COMMENT ON MATERIALIZED VIEW daily IS 'meanwhile'`);
      await expect(schema.apply(plan)).rejects.toThrow(PlanOutdatedError);
    });

    it('verifies and drops', async () => {
      const schema = await release([daily, weekly]);
      await schema.verify();
      await expect(schema.drop('public.daily')).rejects.toThrow(SchemaSyncError);
      await schema.drop('Far away.weekly "Total"');
      await expect(schema.verify()).rejects.toThrow(/"Far away\.weekly "Total"": it is missing/);
      await database.query('CREATE MATERIALIZED VIEW not_ours AS SELECT 1');
      await schema.apply(await schema.plan());
      await schema.verify();
      await schema.dropAll();
      expect(await database.query(`SELECT matviewname FROM pg_matviews`)).toEqual([
        { matviewname: 'not_ours' },
      ]);
    });

    it('reads the catalog', async () => {
      const schema = await release([weekly, daily]);
      expect(schema.registered()).toEqual(['Far away.weekly "Total"', 'public.daily']);
      expect(await schema.order()).toEqual(['public.daily', 'Far away.weekly "Total"']);
      expect(await schema.definition('public.daily')).toMatch(/FROM public\.orders/);
      expect(await schema.dependents('public.daily')).toEqual(['Far away.weekly "Total"']);
      expect(await schema.dependencies('Far away.weekly "Total"')).toEqual(['public.daily']);
    });
  });
});
