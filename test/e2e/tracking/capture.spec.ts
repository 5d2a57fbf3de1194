import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';
import {
  InvalidDefinitionError,
  MaterializedViewsModule,
  SchemaDriftError,
  SchemaService,
  SchemaSyncError,
} from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass, YEARLY } from '../../support/view-class.js';

@Entity('rates')
class Rate {
  @PrimaryGeneratedColumn() id!: number;
  @Column() rate!: number;
}

@Entity('elsewhere')
class Elsewhere {
  @PrimaryGeneratedColumn() id!: number;
}

const HOSTILE = `Odd "table'\\ $x$`;
const STATE = `own "state' $capture$`;
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
const LOG = `${quoted(STATE)}.change_log`;

const daily: TestView = {
  name: 'daily',
  expression: 'SELECT day, count(*) AS id FROM public.orders_view GROUP BY day',
  refresh: { cron: YEARLY, skipUnchanged: true },
};

const above: TestView = {
  name: 'above',
  schema: 'Far away',
  expression: `SELECT count(*) AS id FROM public.daily, "Far away".${quoted(HOSTILE)}`,
  refresh: { on: 'sources', debounce: 100, maxWait: '1m' },
};

const apart: TestView = { name: 'apart', expression: 'SELECT 1 AS id' };

describe('the capture of changes', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let writer: Client;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE ROLE ${quoted(`writer of ${database.name}`)} LOGIN`);
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS ${quoted(STATE)}, materialized_views, "Far away", public CASCADE`,
    );
    await database.query(`CREATE SCHEMA public; CREATE SCHEMA "Far away"`);
    await database.query(`CREATE TABLE orders (id serial, day text) PARTITION BY LIST (day)`);
    await database.query(`CREATE TABLE orders_mon PARTITION OF orders FOR VALUES IN ('mon')`);
    await database.query(`CREATE TABLE orders_rest PARTITION OF orders DEFAULT`);
    await database.query(`CREATE VIEW orders_view AS SELECT * FROM orders WHERE id > 0`);
    await database.query(`CREATE TABLE "Far away".${quoted(HOSTILE)} (id int)`);
    await database.query(`CREATE TABLE rates (id serial, rate int)`);
    await database.query(
      `GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC; GRANT ALL ON SCHEMA public TO PUBLIC; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC`,
    );
    writer = await database.session();
  });

  afterEach(async () => {
    await writer.end();
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    const role = quoted(`writer of ${database.name}`);
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  async function start(
    views: TestView[],
    options: Parameters<typeof MaterializedViewsModule.forRoot>[0] = {},
  ): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    const entities = [...views.map(viewClass), Rate];
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: entities as (new () => object)[] }),
      MaterializedViewsModule.forRoot({ scheduling: false, stateSchema: STATE, ...options }),
    );
    return app.get(SchemaService);
  }

  /** The tracked tables, and how many `ENABLE ALWAYS` triggers each has. */
  async function captured(): Promise<Record<string, number>> {
    const rows = await database.query<{ name: string; count: number }>(
      `SELECT tgrelid::regclass::text AS name, (count(*) FILTER (WHERE tgenabled = 'A'))::int AS count
       FROM pg_trigger WHERE tgname LIKE 'own %' AND NOT tgisinternal GROUP BY 1 ORDER BY 1`,
    );
    return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
  }

  const logged = async (): Promise<unknown[]> =>
    (
      await database.query<{ what: string }>(
        `SELECT kind || ' ' || source::regclass AS what FROM ${LOG} ORDER BY changed_at`,
      )
    ).map(({ what }) => what);

  const ORDERS = { orders: 4, orders_mon: 4, orders_rest: 4 };
  const ODD = `"Far away".${quoted(HOSTILE)}`;

  it('distinguishes tables whose names differ only in the place of the dot', async () => {
    await database.query(
      `CREATE SCHEMA "Far away.x"; CREATE TABLE "Far away.x".y (id int); CREATE TABLE "Far away"."x.y" (id int)`,
    );
    try {
      const expression = 'SELECT count(*) AS id FROM "Far away.x".y, "Far away"."x.y"';
      await start([{ ...above, expression }]);
      expect(await captured()).toEqual({ '"Far away.x".y': 4, '"Far away"."x.y"': 4 });
    } finally {
      await database.query('DROP SCHEMA "Far away.x" CASCADE');
    }
  });

  it('is created with the views, once per table, through plain views and partitions', async () => {
    const schema = await start([daily, above], { synchronize: 'create' });
    expect(await captured()).toEqual({ ...ORDERS, [ODD]: 4 });
    expect(await schema.diff()).toEqual([]);
    expect(await schema.generateMigration({ name: 'none' })).toBeUndefined();

    await database.query(`INSERT INTO orders (day) VALUES ('mon'), ('tue')`);
    await database.query(`UPDATE orders_mon SET id = 5`);
    await database.query(`DELETE FROM orders WHERE day = 'tue'`);
    await database.query(`INSERT INTO ${ODD} VALUES (1)`);
    await database.query(`TRUNCATE orders`);
    expect(await logged()).toEqual(
      [
        'INSERT orders',
        'UPDATE orders_mon',
        'DELETE orders',
        `INSERT ${ODD}`,
        'TRUNCATE orders_rest',
        'TRUNCATE orders_mon',
        'TRUNCATE orders',
      ].map((each) =>
        expect.stringMatching(
          each.startsWith('TRUNCATE')
            ? /^TRUNCATE orders/
            : new RegExp(`^${each.replaceAll(/[$\\]/g, '\\$&')}$`),
        ),
      ),
    );
  });

  it('of a view that `on` names ends there, although what that one reads is created with it', async () => {
    const unsure = { ...daily, expression: `${daily.expression} HAVING now() IS NOT NULL` };
    const views = [
      { ...unsure, refresh: undefined },
      {
        ...above,
        expression: 'SELECT count(*) AS id FROM public.rates',
        refresh: { on: ['public.daily'], cron: YEARLY, skipUnchanged: true },
      },
    ];
    const schema = await start(views);
    expect(await captured()).toEqual({ rates: 4 });
    expect(await schema.diff()).toEqual([]);
  });

  it('writes nothing for a statement that touches no row, or is rolled back', async () => {
    await start([daily]);
    await database.query(`UPDATE orders SET id = 5 WHERE day = 'nobody'`);
    await database.query(`DELETE FROM orders_mon`);
    await database.query(`INSERT INTO orders (day) SELECT 'x' WHERE false`);
    await database.query('BEGIN');
    await database.query(`INSERT INTO orders (day) VALUES ('x')`);
    await database.query('ROLLBACK');
    expect(await logged()).toEqual([]);
  });

  it('is in the diff and the plan, and is repaired', async () => {
    const schema = await start([daily, above]);
    await database.query(
      `CREATE TABLE orders_tue PARTITION OF orders FOR VALUES IN ('tue');
       ALTER TABLE orders_mon DISABLE TRIGGER ALL;
       ALTER TABLE orders_rest ENABLE TRIGGER ALL`,
    );
    expect(await schema.diff()).toEqual([
      {
        view: 'public.daily',
        kind: 'capture-changed',
        description: 'the triggers that capture changes of "public.orders_mon" were changed',
      },
      {
        view: 'public.daily',
        kind: 'capture-changed',
        description: 'the triggers that capture changes of "public.orders_rest" were changed',
      },
      {
        view: 'public.daily',
        kind: 'capture-missing',
        description: 'changes of "public.orders_tue" are not captured',
      },
    ]);
    await expect(schema.verify()).rejects.toThrow(SchemaDriftError);
    const plan = await schema.plan();
    expect(plan.steps).toEqual([
      expect.objectContaining({
        action: 'capture',
        reason:
          'Changes of "public.orders_tue", "public.orders_mon", "public.orders_rest" have to be captured',
      }),
    ]);
    await schema.apply(plan);
    expect(await schema.diff()).toEqual([]);
    expect(await captured()).toMatchObject({ ...ORDERS, orders_tue: 4 });
  });

  it('of a recreated table is restored at the next boot', async () => {
    const rates = { ...daily, refresh: { on: [Rate, 'orders'] } };
    await start([rates]);
    expect(await captured()).toEqual({ ...ORDERS, rates: 4 });
    await database.query(`DROP TABLE rates; CREATE TABLE rates (id int, rate int)`);
    await start([rates]);
    expect(await captured()).toEqual({ ...ORDERS, rates: 4 });
  });

  it('only causes a warning if nothing may be changed, and an error if requested', async () => {
    await start([daily, above].map((view) => ({ ...view, refresh: undefined })));
    const schema = await start([daily, above], { synchronize: 'verify' });
    expect(await captured()).toEqual({});
    expect(await schema.diff()).toContainEqual(
      expect.objectContaining({ view: 'public.daily', kind: 'capture-missing' }),
    );
    await expect(start([daily, above], { synchronize: 'verify', onDrift: 'fail' })).rejects.toThrow(
      /changes of "public\.orders" are not captured/,
    );
    await start([daily, above], { synchronize: 'create' });
    expect(await captured()).toEqual({ ...ORDERS, [ODD]: 4 });
  });

  it('is removed when no view needs it, and not before', async () => {
    const other = { ...daily, name: 'other' };
    await start([daily, above, other]);
    const schema = await start([daily, other]);
    // The class is gone, but the view still exists.
    expect(await captured()).toEqual({ ...ORDERS, [ODD]: 4 });
    const { steps } = await schema.plan({ prune: true });
    expect(steps.map(({ action }) => action)).toEqual(['drop', 'capture']);
    await start([daily, other], { prune: true });
    expect(await captured()).toEqual(ORDERS);
    const last = await start([{ ...daily, refresh: undefined }, other]);
    expect(await captured()).toEqual(ORDERS);
    await last.drop('public.other');
    expect(await captured()).toEqual({});
  });

  it('is reported if superfluous, and stays if nothing may be changed', async () => {
    await start([daily]);
    const schema = await start([{ ...daily, refresh: undefined }], { synchronize: 'verify' });
    expect(await captured()).toEqual(ORDERS);
    expect(await schema.diff()).toContainEqual({
      view: 'public.orders',
      kind: 'capture-superfluous',
      description: 'its changes are captured, and no view needs them any more',
    });
    await start([{ ...daily, refresh: undefined }]);
    expect(await captured()).toEqual({});
    await start([daily]);
    await database.query('DROP MATERIALIZED VIEW daily');
    await start([apart], { synchronize: 'create' });
    expect(await captured()).toEqual(ORDERS);
    await start([apart]);
    expect(await captured()).toEqual({});
  });

  it('is dropped when all views are dropped', async () => {
    const schema = await start([daily, above]);
    await schema.dropAll();
    expect(await captured()).toEqual({});
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    expect(await logged()).toEqual([]);
  });

  it('stays if another application needs it', async () => {
    await start([daily]);
    const schema = await start([apart]);
    expect(await captured()).toEqual(ORDERS);
    await schema.dropAll();
    expect(await captured()).toEqual(ORDERS);
  });

  it('is in migrations, up and down', async () => {
    await start([{ ...daily, refresh: undefined }]);
    const schema = await start([daily], { synchronize: 'verify' });
    const plan = await schema.plan();
    const run = async (statements: { text: string; values?: unknown[] }[]): Promise<void> => {
      for (const { text, values } of statements) {
        await database.query(text, values);
      }
    };
    const file = await schema.generateMigration({ name: 'Capture' });
    expect(file?.source).toContain('Changes of "public.orders", "public.orders_mon"');
    await database.query('BEGIN');
    await run(plan.steps.flatMap(({ statements }) => statements));
    await database.query('COMMIT');
    expect(await captured()).toEqual(ORDERS);
    expect(await schema.diff()).toEqual([]);
    await database.query('BEGIN');
    await run([...plan.steps].reverse().flatMap(({ undo }) => undo));
    await database.query('COMMIT');
    expect(await captured()).toEqual({});
  });

  it('waits for a writer, and blocks no other meanwhile', async () => {
    await writer.query('BEGIN');
    await writer.query(`INSERT INTO orders_mon (day) VALUES ('mon')`);
    const starting = start([daily]);
    // The boot's attempts to lock the table time out again and again, which lets this write through.
    await database.until(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LOCK TABLE%' AND wait_event_type = 'Lock'`,
    );
    await database.query(`INSERT INTO orders (day) VALUES ('mon')`);
    await writer.query('COMMIT');
    await starting;
    expect(await captured()).toEqual(ORDERS);
  });

  it('of a table that another role owns is an error that says so', async () => {
    const role = quoted(`writer of ${database.name}`);
    await database.query(`GRANT CREATE ON DATABASE ${quoted(database.name)} TO ${role}`);
    const url = new URL(database.url);
    url.username = `writer of ${database.name}`;
    const entities = [viewClass({ ...daily, withData: false })];
    const starting = boot(
      typeOrm(database, {
        autoLoadEntities: false,
        url: url.href,
        entities: entities as (new () => object)[],
      }),
      MaterializedViewsModule.forRoot({ scheduling: false, stateSchema: STATE }),
    );
    await expect(starting).rejects.toThrow(
      /Could not create the triggers that capture changes of tables: 42501: .* Nothing has been changed\./,
    );
    await expect(starting).rejects.toMatchObject({
      hint: expect.stringContaining('must own the tables'),
    });
  });

  describe('for writers', () => {
    it('needs no privileges, and gives none', async () => {
      await start([daily]);
      await writer.query(`SET ROLE ${quoted(`writer of ${database.name}`)}`);
      await writer.query(`INSERT INTO orders (day) VALUES ('mon')`);
      await writer.query(`TRUNCATE orders_mon`).catch(() => undefined);
      expect(await logged()).toContain('INSERT orders');
      await expect(
        writer.query(`INSERT INTO ${LOG} (source, kind) VALUES (1, 'x')`),
      ).rejects.toMatchObject({ code: '42501' });
      await expect(writer.query(`DELETE FROM ${LOG}`)).rejects.toMatchObject({ code: '42501' });
      const name = `${quoted(STATE)}.log_changed_rows()`;
      const [rights] = await database.query(
        `SELECT has_function_privilege($1, $2, 'EXECUTE') AS may`,
        [`writer of ${database.name}`, name],
      );
      expect(rights).toEqual({ may: false });
      await writer.query(`CREATE TABLE public.mine (id int)`);
      await expect(
        writer.query(`CREATE TRIGGER t AFTER INSERT ON public.mine EXECUTE FUNCTION ${name}`),
      ).rejects.toMatchObject({ code: '42501' });
    });

    it('is not misled by what they put into their search_path', async () => {
      await start([daily]);
      await writer.query(`SET ROLE ${quoted(`writer of ${database.name}`)}`);
      await writer.query(`CREATE TEMP TABLE change_log (source oid, kind text)`);
      await writer.query(`CREATE TEMP TABLE changed (id int)`);
      await writer.query(
        `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$BEGIN RAISE 'led astray'; END$$`,
      );
      await writer.query(
        `CREATE FUNCTION public.pg_current_xact_id() RETURNS xid8 LANGUAGE plpgsql AS $$BEGIN RAISE 'led astray'; END$$`,
      );
      await writer.query(`SET search_path = pg_temp, public, pg_catalog`);
      await writer.query(`INSERT INTO public.orders (day) VALUES ('mon')`);
      expect(await logged()).toEqual(['INSERT orders']);
      expect((await writer.query('SELECT * FROM pg_temp.change_log')).rows).toEqual([]);
    });

    it('sees writes that bypass ordinary triggers, as replication does', async () => {
      await start([daily]);
      await writer.query(`SET session_replication_role = replica`);
      await writer.query(`INSERT INTO orders_mon (day) VALUES ('mon')`);
      expect(await logged()).toEqual(['INSERT orders_mon']);
    });

    it('makes none wait for another, and none fail, at any isolation', async () => {
      await start([daily]);
      const second = await database.session();
      for (const session of [writer, second]) {
        await session.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
        await session.query(`SET LOCAL lock_timeout = '1ms'`);
      }
      for (const session of [writer, second, writer, second]) {
        await session.query(`INSERT INTO orders (day) VALUES ('mon')`);
      }
      await second.query('COMMIT');
      await writer.query('COMMIT');
      await second.end();
      expect(await logged()).toHaveLength(4);
    });
  });

  describe('is refused', () => {
    const view = (
      expression: string,
      refresh: TestView['refresh'] = { cron: YEARLY, skipUnchanged: true },
    ): TestView => ({
      name: 'refused',
      expression,
      refresh,
    });

    it.each<[string, string, RegExp]>([
      [
        'now()',
        'SELECT id FROM orders WHERE now() > now()',
        /it calls now\(\), which is not immutable/,
      ],
      [
        'CURRENT_DATE',
        `SELECT id FROM orders WHERE day = CURRENT_DATE::text`,
        /it calls CURRENT_DATE, /,
      ],
      ['random() below a plain view', 'SELECT id FROM randomly', /it calls random\(\)/],
      [
        'an operator',
        'SELECT id FROM orders WHERE id === 1',
        /it calls public\.odd_equal\(integer,integer\)/,
      ],
      [
        'an aggregate',
        'SELECT odd_sum(id) AS id FROM orders',
        /it calls public\.odd_equal\(integer,integer\)/,
      ],
      [
        'a cast that knows today',
        'SELECT day::date AS id FROM orders',
        /it calls date_in\(cstring\)/,
      ],
      [
        'a row comparison',
        `SELECT id FROM orders WHERE (id, random()) > (1, 1)`,
        /it calls random\(\)/,
      ],
      ['a sample', 'SELECT id FROM orders TABLESAMPLE SYSTEM (50)', /it calls TABLESAMPLE/],
      [
        'a sequence',
        'SELECT last_value AS id FROM orders_id_seq',
        /"public\.orders_id_seq" is not a table/,
      ],
      ['a system catalog', 'SELECT oid::int AS id FROM pg_class', /"pg_class" is the system's own/],
      ['row security', 'SELECT id FROM secured', /"public\.secured" has row security/],
      ['an unlogged table', 'SELECT id FROM fleeting', /"public\.fleeting" is unlogged/],
      ['a foreign table', 'SELECT id FROM abroad', /"public\.abroad" is a foreign table/],
    ])('for %s', async (_, expression, message) => {
      await database.query(`
        CREATE VIEW randomly AS SELECT id FROM orders WHERE random() < 1;
        CREATE FUNCTION odd_equal(int, int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT $1';
        CREATE FUNCTION odd_equals(int, int) RETURNS boolean VOLATILE LANGUAGE sql AS 'SELECT true';
        CREATE FUNCTION odd_equal_bool(int, int) RETURNS boolean VOLATILE LANGUAGE sql AS 'SELECT true';
        CREATE AGGREGATE odd_sum(int) (SFUNC = odd_equal, STYPE = int);
        CREATE TABLE secured (id int); ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
        CREATE UNLOGGED TABLE fleeting (id int);
        CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
        CREATE FOREIGN TABLE abroad (id int) SERVER far;
        CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = odd_equals)`);
      try {
        const starting = start([{ ...view(expression), withData: false }]);
        const pattern = expression.includes('===')
          ? /it calls public\.odd_equals\(integer,integer\)/
          : message;
        await expect(starting).rejects.toThrow(pattern);
        await expect(start([{ ...view(expression), withData: false }])).rejects.toThrow(
          InvalidDefinitionError,
        );
        expect(
          await database.query(`SELECT FROM pg_namespace WHERE nspname = $1`, [STATE]),
        ).toEqual([]);
      } finally {
        await database.query(`DROP FOREIGN DATA WRAPPER nowhere CASCADE`);
      }
    });

    it('for a limit to staleness, even if ticks are never skipped', async () => {
      const refresh = { cron: YEARLY, maxStaleness: '1m', skipUnchanged: false } as const;
      await expect(
        start([view('SELECT id FROM orders WHERE now() > now()', refresh)]),
      ).rejects.toThrow(/cannot have `refresh\.maxStaleness`: it calls now\(\)/);
    });

    it('for a missing table, and for a class that is not an entity here', async () => {
      await expect(start([view('SELECT 1 AS id', { on: ['nowhere'] })])).rejects.toThrow(
        /`refresh\.on` names "public\.nowhere", which does not exist/,
      );
      await expect(start([view('SELECT 1 AS id', { on: ['nowhere'] })])).rejects.toThrow(
        SchemaSyncError,
      );
      await expect(start([view('SELECT 1 AS id', { on: ['sources'] })])).rejects.toThrow(
        /write `on: 'sources'`, without the brackets/,
      );
      await expect(start([view('SELECT 1 AS id', { on: [Elsewhere] })])).rejects.toThrow(
        /`refresh\.on` to name entities of the view's data source, got Elsewhere/,
      );
    });

    it("if a view's own refreshes would trigger the next ones for ever", async () => {
      const odd = `Far away.${HOSTILE}`;
      const one = (on: string[], expression = 'SELECT id FROM orders'): TestView[] => [
        { ...view(expression, { on }), name: 'one', withData: false },
      ];
      const reader = (expression: string, refresh?: TestView['refresh']): TestView => ({
        name: 'reader',
        schema: 'Far away',
        expression,
        withData: false,
        ...(refresh && { refresh }),
      });
      await database.query(`DROP TABLE ${ODD}`);
      await expect(start(one(['orders', 'one']))).rejects.toThrow(
        /"public\.one" of .* would be refreshed for ever, .*: "public\.one" -> "public\.one" /,
      );
      await expect(
        start([
          ...one(['Far away.reader']),
          reader('SELECT id FROM public.one', { on: 'sources' }),
        ]),
      ).rejects.toThrow(/"public\.one" -> "Far away\.reader" -> "public\.one"/);
      await expect(
        start([
          ...one(['Far away.reader']),
          reader('SELECT id FROM public.rates', { on: ['public.one'] }),
        ]),
      ).rejects.toThrow(InvalidDefinitionError);
      // The circle goes through a plain view that reads an existing view.
      await start(one(['orders']));
      await database.query(`CREATE VIEW ${ODD} AS SELECT id FROM public.one`);
      await expect(start(one([odd]))).rejects.toThrow(`"public.one" -> "${odd}" -> "public.one"`);
      await start([
        ...one(['orders']),
        reader('SELECT id FROM public.one', { on: ['public.one'] }),
      ]);
    });

    it.each<[TestView['refresh'], string]>([
      [{ on: 'sources' }, 'on'],
      [{ skipUnchanged: true, cron: '@daily' }, 'skipUnchanged'],
      [{ maxStaleness: '1m' }, 'maxStaleness'],
    ])('for a view that reads nothing by the catalog, with %j', async (refresh, option) => {
      await database.query(
        `CREATE FUNCTION f() RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM public.orders); END'`,
      );
      const starting = start([view('SELECT public.f() AS id', refresh)]);
      await expect(starting).rejects.toThrow(
        `cannot have \`refresh.${option}\`: its query reads no`,
      );
      await expect(starting).rejects.toMatchObject({
        hint: expect.stringContaining('Name the tables'),
      });
      await start([view('SELECT public.f() AS id', { on: ['orders'], skipUnchanged: true })]);
      expect(await captured()).toEqual(ORDERS);
    });

    it('for writes that go unnoticed, and not for a view that just calls now()', async () => {
      await expect(
        start([view('SELECT last_value AS id FROM orders_id_seq', { on: 'sources' })]),
      ).rejects.toThrow(/cannot have `refresh\.on`: "public\.orders_id_seq" is not a table/);
      await start([view('SELECT id FROM orders WHERE now() > now()', { on: 'sources' })]);
      expect(await captured()).toEqual(ORDERS);
    });

    it('not for what depends only on settings', async () => {
      const schema = await start([
        view(`SELECT date_trunc('day', moment) AS id, moment::date AS day, json_agg(note || moment)
              FROM (SELECT to_timestamp(id) AS moment, day AS note FROM orders) AS o GROUP BY 1, 2`),
      ]);
      expect(await schema.diff()).toEqual([]);
    });
  });
});
