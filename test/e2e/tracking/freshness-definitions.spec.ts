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
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import {
  InvalidDefinitionError,
  RefreshService,
  type RefreshResult,
  SchemaService,
  type ViewClass,
} from '../../../lib/index.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { CaptureKeeper } from '../../../lib/tracking/capture.keeper.js';
import { oneIn } from '../../support/matrix.js';
import { definitionOf, managed } from '../../support/managed.js';
import { ChangeDetector, isStale } from '../../support/change-detector.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass, YEARLY } from '../../support/view-class.js';

const STATE = 'materialized_views';
const VIEW = { schema: 'Odd schema', name: 'computed "by" all' };
const QUOTED = `"Odd schema"."computed ""by"" all"`;

const ADD = `CREATE FUNCTION addf(int, int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 + $2; END'`;
const ADD_MORE = ADD.replace('CREATE', 'CREATE OR REPLACE').replace('$1 + $2', '100 * ($1 + $2)');

/** A view's query, the objects that it needs, and a change that alters its result without a write. */
const ALTERATIONS: Record<string, { query: string; setup: string; change: string }> = {
  'the function of an operator': {
    query: `SELECT 1 AS id, id OPERATOR(public.@#@) 2 AS x FROM public.t`,
    setup: `${ADD}; CREATE OPERATOR @#@ (leftarg = int, rightarg = int, function = addf)`,
    change: ADD_MORE,
  },
  'the function of an aggregate': {
    query: `SELECT 1 AS id, public.mysum(id) AS x FROM public.t`,
    setup: `${ADD}; CREATE AGGREGATE mysum(int) (sfunc = addf, stype = int, initcond = '0')`,
    change: ADD_MORE,
  },
  'an aggregate': {
    query: `SELECT 1 AS id, public.mysum(id) AS x FROM public.t`,
    setup: `${ADD}; CREATE AGGREGATE mysum(int) (sfunc = addf, stype = int, initcond = '0')`,
    change: `CREATE OR REPLACE AGGREGATE mysum(int) (sfunc = addf, stype = int, initcond = '5')`,
  },
  'a function that a function calls': {
    query: `SELECT 1 AS id, public.f(id) AS x FROM public.t`,
    setup: `${ADD}; CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT public.addf($1, 1)'`,
    change: ADD_MORE,
  },
  'the name of a field of a composite type': {
    query: `SELECT 1 AS id, to_jsonb(a) AS x FROM public.addresses`,
    setup: `CREATE TYPE addr AS (street text); CREATE TABLE addresses (a addr); INSERT INTO addresses VALUES (row('s'))`,
    change: `ALTER TYPE addr RENAME ATTRIBUTE street TO way`,
  },
  'the fields of a composite type': {
    query: `SELECT 1 AS id, to_jsonb(a) AS x FROM public.addresses`,
    setup: `CREATE TYPE addr AS (street text); CREATE TABLE addresses (a addr[]); INSERT INTO addresses VALUES (ARRAY[row('s')::addr])`,
    change: `ALTER TYPE addr ADD ATTRIBUTE zip text`,
  },
  'the fields of a type within a type': {
    query: `SELECT 1 AS id, to_jsonb(a) AS x FROM public.addresses`,
    setup: `CREATE TYPE zip AS (code text); CREATE TYPE addr AS (zip zip); CREATE TABLE addresses (a addr); INSERT INTO addresses VALUES (row(row('s')))`,
    change: `ALTER TYPE zip RENAME ATTRIBUTE code TO zip_code`,
  },
  'the columns of a table whose rows are in a column': {
    query: `SELECT 1 AS id, to_jsonb(a) AS x FROM public.addresses`,
    setup: `CREATE TABLE addr (street text); CREATE TABLE addresses (a addr[]); INSERT INTO addresses VALUES (ARRAY[row('s')::addr])`,
    change: `ALTER TABLE addr RENAME street TO way`,
  },
  'the names of columns of a plain view': {
    query: `SELECT 1 AS id, to_jsonb(p) AS x FROM public.p`,
    setup: `CREATE VIEW p AS SELECT id FROM t OFFSET 0`,
    change: `ALTER VIEW p RENAME id TO number`,
  },
  'how a type becomes json': {
    query: `SELECT 1 AS id, to_jsonb(e) AS x FROM public.moods`,
    setup: `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (e mood); INSERT INTO moods VALUES ('sad');
            CREATE FUNCTION as_json(mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'`,
    change: `CREATE CAST (mood AS json) WITH FUNCTION as_json(mood)`,
  },
  'the function by which a type becomes json': {
    query: `SELECT 1 AS id, to_jsonb(e) AS x FROM public.moods`,
    setup: `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (e mood); INSERT INTO moods VALUES ('sad');
            CREATE FUNCTION as_json(mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
            CREATE CAST (mood AS json) WITH FUNCTION as_json(mood)`,
    change: `CREATE OR REPLACE FUNCTION as_json(mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 2; END'`,
  },
  'a text search configuration': {
    query: `SELECT 1 AS id, to_tsvector('public.c', id || ' running') AS x FROM public.t`,
    setup: `CREATE TEXT SEARCH CONFIGURATION public.c (copy = pg_catalog.simple)`,
    change: `ALTER TEXT SEARCH CONFIGURATION public.c ALTER MAPPING FOR asciiword WITH english_stem`,
  },
  'a label of an enum': {
    query: `SELECT 1 AS id, e::text AS x FROM public.moods`,
    setup: `CREATE TYPE mood AS ENUM ('sad'); CREATE TABLE moods (e mood); INSERT INTO moods VALUES ('sad')`,
    change: `ALTER TYPE mood RENAME VALUE 'sad' TO 'glad'`,
  },
};

const SETTINGS: Record<string, { query: string; value: string }> = {
  array_nulls: { query: `SELECT 1 AS id, (n::text[])[1] IS NULL AS x FROM public.t`, value: 'off' },
  xmlbinary: { query: `SELECT 1 AS id, n AS x FROM public.t`, value: 'hex' },
  xmloption: { query: `SELECT 1 AS id, n AS x FROM public.t`, value: 'document' },
};

const NAMES: Record<string, string> = {
  'a column': `SELECT 1 AS id, concat(k) AS x FROM public.named`,
  'a column of many': `SELECT 1 AS id, ks::text AS x FROM public.named`,
  'a whole row': `SELECT 1 AS id, to_jsonb(n) AS x FROM public.named n`,
  'a cast': `SELECT 1 AS id, tableoid::regclass::text AS x FROM public.t`,
  'a constant that is made text': `SELECT 1 AS id, 'public.t'::regclass::text AS x FROM public.t`,
};

describe("changes of a view's rows without a write", () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let View: ViewClass;
  let detector: ChangeDetector;

  beforeAll(async () => {
    database = await TestDatabase.create();
    detector = new ChangeDetector(database.client, STATE);
  });

  beforeEach(async () => {
    await database.query(
      `RESET ALL; DROP SCHEMA IF EXISTS materialized_views, "Odd schema", public CASCADE; CREATE SCHEMA public;
       CREATE TABLE t (id int, n text DEFAULT '{NULL}'); INSERT INTO t VALUES (1)`,
    );
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(() => database.drop());

  async function start(expression: string, refresh: TestView['refresh']): Promise<void> {
    View = viewClass({ ...VIEW, expression, refresh });
    app = await bootWith(database, { views: [View] });
  }

  const own = (): TestingModule => app as TestingModule;

  /** A scheduled refresh. */
  async function attempt(): Promise<string> {
    const request = tickRequest(definitionOf(own(), View), new Date());
    const result: RefreshResult = await managed(own()).refresher.runner.run({
      ...request,
      tick: undefined,
      policy: { ...request.policy, skipsUnchanged: 'same-rows' },
    });
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  }

  it.each(oneIn(2, Object.entries(ALTERATIONS)))(
    'are noticed: %s',
    async (_, { query, setup, change }) => {
      await database.query(setup);
      await start(query, { cron: YEARLY, skipUnchanged: true });
      await own().get(RefreshService).refresh(View);
      expect(await attempt()).toBe('unchanged');
      await database.query(change);
      expect(await isStale(database.client, VIEW)).toBe(true);
      expect(await attempt()).toBe('refreshed');
      expect(await isStale(database.client, VIEW)).toBe(false);
      expect(await attempt()).toBe('unchanged');
    },
  );

  it.each(Object.entries(SETTINGS))(
    'are noticed under another setting of %s',
    async (name, how) => {
      await start(how.query, { cron: YEARLY, skipUnchanged: true });
      await own().get(RefreshService).refresh(View);
      expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: true });
      await database.query(`SELECT set_config($1, $2, false)`, [name, how.value]);
      expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: false });
      // The sessions that poll may have other settings than those that refresh, so this is no alteration.
      expect(await detector.changes(VIEW)).toMatchObject({ is_altered: false });
    },
  );

  it.each([
    `CREATE TEMP TABLE unrelated (id int)`,
    `CREATE TABLE unrelated (id int); DROP TABLE unrelated`,
    `CREATE VIEW unrelated AS SELECT 1 AS id`,
  ])('do not include %s', async (change) => {
    await database.query(ADD);
    await start(`SELECT 1 AS id, public.addf(id, 1) AS x FROM public.t`, {
      cron: YEARLY,
      skipUnchanged: true,
    });
    await own().get(RefreshService).refresh(View, { mode: 'swap' });
    expect(await attempt()).toBe('unchanged');
    await database.query(change);
    expect(await attempt()).toBe('unchanged');
  });

  it('do not include functions if none is called', async () => {
    await start(`SELECT count(*) AS id FROM public.t`, { cron: YEARLY, skipUnchanged: true });
    await own().get(RefreshService).refresh(View);
    await database.query(ADD);
    expect(await attempt()).toBe('unchanged');
  });

  it.each(Object.entries(NAMES))('refuse names of the catalog: %s', async (_, query) => {
    await database.query(`CREATE TABLE named (k regclass, ks regclass[])`);
    const refused = await start(query, { cron: YEARLY, skipUnchanged: true }).catch(
      (error: unknown) => error,
    );
    expect(refused).toBeInstanceOf(InvalidDefinitionError);
    expect((refused as Error).message).toContain('it calls regclassout(regclass)');
    await start(query, { on: ['public.t'] });
  });

  it.each([
    `SELECT 1 AS id, to_tsvector('english', n) AS x FROM public.t`,
    `SELECT 1 AS id, tableoid AS x FROM public.t WHERE tableoid = 'public.t'::regclass`,
  ])('allow %s', async (query) => {
    await start(query, { cron: YEARLY, skipUnchanged: true });
    await own().get(RefreshService).refresh(View);
    expect(await attempt()).toBe('unchanged');
  });

  describe('in a transaction that refreshes the view in its middle', () => {
    it.each<[string, string, (n: number) => string]>([
      [
        'a function',
        `SELECT 1 AS id, public.f() AS x FROM public.t`,
        (n) =>
          `CREATE OR REPLACE FUNCTION public.f() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN ${n}; END'`,
      ],
      [
        'a plain view',
        `SELECT id FROM public.p`,
        (n) => `CREATE OR REPLACE VIEW public.p AS SELECT id + ${n} AS id FROM public.t`,
      ],
    ])('is told of %s that is replaced once more', async (_, query, replace) => {
      await database.query(replace(0));
      await start(query, { cron: YEARLY, skipUnchanged: true });
      await own().get(RefreshService).refresh(View);
      await own()
        .get(DataSource)
        .transaction(async (manager) => {
          await manager.query(replace(1));
          await own().get(RefreshService).refresh(View, { manager });
          await manager.query(replace(2));
        });
      expect(await isStale(database.client, VIEW)).toBe(true);
      expect(await attempt()).toBe('refreshed');
      expect(await attempt()).toBe('unchanged');
    });

    it('makes no serializable writer fail', async () => {
      await database.query(
        `CREATE TABLE other (id int); CREATE TABLE read (id int PRIMARY KEY); INSERT INTO read VALUES (1)`,
      );
      await start(`SELECT count(*) AS id FROM public.t`, { on: ['public.t', 'public.other'] });
      await own().get(RefreshService).refresh(View);
      const writer = await database.session();
      await own()
        .get(DataSource)
        .transaction('SERIALIZABLE', async (manager) => {
          await manager.query('UPDATE read SET id = id');
          await writer.query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM read');
          await own().get(RefreshService).refresh(View, { manager });
          await writer.query('INSERT INTO other VALUES (1)');
        });
      expect((await writer.query('COMMIT')).command).toBe('COMMIT');
      await writer.end();
    });
  });

  describe('while writes to its sources are not captured', () => {
    const TABLES = `CREATE TABLE parted (id int, k int) PARTITION BY LIST (k);
       CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1); INSERT INTO parted VALUES (1, 1)`;
    const QUERY = `SELECT sum(id) AS id FROM public.parted`;

    /** A repair in the background would undo what these tests look at. */
    beforeEach(() => {
      jest.spyOn(CaptureKeeper.prototype, 'maybeRepair').mockReturnValue(undefined);
    });

    afterEach(() => {
      jest.restoreAllMocks();
    });

    /** A change of the schema is reported, but only until the next refresh. */
    async function expectToldOnce(change: string, isCaptured = false): Promise<void> {
      await database.query(change);
      expect(await detector.changes(VIEW)).toMatchObject({
        is_altered: true,
        is_captured: isCaptured,
      });
      expect(await attempt()).toBe('refreshed');
      expect(await detector.changes(VIEW)).toMatchObject({
        is_altered: false,
        is_captured: isCaptured,
        pending_since: null,
      });
      expect(await isStale(database.client, VIEW)).toBe(false);
    }

    it.each(['on', 'skipUnchanged'])(
      'notices each change of the schema once, and counts nothing as unchanged: %s',
      async (option) => {
        await database.query(TABLES);
        await start(
          QUERY,
          option === 'on' ? { on: 'sources' } : { cron: YEARLY, skipUnchanged: true },
        );
        await own().get(RefreshService).refresh(View);
        expect(await attempt()).toBe('unchanged');
        await expectToldOnce(`CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2)`);
        await database.query(`INSERT INTO parted_2 VALUES (5, 2)`);
        expect(await attempt()).toBe('refreshed');
        expect(await isStale(database.client, VIEW)).toBe(false);
        await expectToldOnce(
          `CREATE TABLE parted_3 (id int, k int); INSERT INTO parted_3 VALUES (7, 3);
           ALTER TABLE parted ATTACH PARTITION parted_3 FOR VALUES IN (3)`,
        );
        const schema = own().get(SchemaService);
        await schema.apply(await schema.plan());
        expect(await detector.changes(VIEW)).toMatchObject({ is_altered: true, is_captured: true });
        expect(await attempt()).toBe('refreshed');
        expect(await attempt()).toBe('unchanged');
      },
    );

    it('notices a missing table, and a recreated one', async () => {
      await database.query(`CREATE TABLE elsewhere (id int)`);
      await start(`SELECT count(*) AS id FROM public.t`, {
        on: ['public.elsewhere'],
        cron: YEARLY,
        skipUnchanged: true,
      });
      await own().get(RefreshService).refresh(View);
      expect(await attempt()).toBe('unchanged');
      await expectToldOnce(`DROP TABLE elsewhere`);
      await expectToldOnce(`CREATE TABLE elsewhere (id int)`);
    });

    it('notices what a plain view reads from a table with row security', async () => {
      await database.query(
        `ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE VIEW p AS SELECT id FROM t`,
      );
      await start(`SELECT sum(id) AS id FROM public.p`, { on: 'sources' });
      await own().get(RefreshService).refresh(View);
      await expectToldOnce(`CREATE OR REPLACE VIEW p AS SELECT id * 10 AS id FROM t`);
      await expectToldOnce(`CREATE OR REPLACE VIEW p AS SELECT id * 100 AS id FROM t`);
    });

    it('notices a new obstacle', async () => {
      await database.query(`CREATE VIEW p AS SELECT id FROM t`);
      await start(`SELECT sum(id) AS id FROM public.p`, { cron: YEARLY, skipUnchanged: true });
      await own().get(RefreshService).refresh(View);
      await expectToldOnce(`CREATE OR REPLACE VIEW p AS SELECT id FROM t WHERE random() < 2`, true);
      await expectToldOnce(
        `CREATE OR REPLACE VIEW p AS SELECT 2 * id AS id FROM t WHERE random() < 2`,
        true,
      );
      expect(await detector.changes(VIEW)).toMatchObject({ is_watched: false });
      expect(await attempt()).toBe('refreshed');
      await expectToldOnce(`CREATE OR REPLACE VIEW p AS SELECT id FROM t`, true);
      expect(await attempt()).toBe('unchanged');
      await expectToldOnce(
        `DROP MATERIALIZED VIEW ${QUOTED};
         CREATE MATERIALIZED VIEW ${QUOTED} AS SELECT sum(id) AS id FROM p WHERE random() < 2`,
        true,
      );
      expect(await attempt()).toBe('refreshed');
    });

    it('notices that a subscription began to write to a table', async () => {
      await start(`SELECT count(*) AS id FROM public.t`, { on: 'sources' });
      await own().get(RefreshService).refresh(View);
      await database.query(
        `CREATE SUBSCRIPTION writing CONNECTION 'dbname=nowhere' PUBLICATION nothing WITH (connect = false, slot_name = NONE)`,
      );
      try {
        // The entry that replication makes once publisher and subscriber have been in contact.
        await expectToldOnce(
          `SET allow_system_table_mods = on;
           INSERT INTO pg_subscription_rel (srsubid, srrelid, srsubstate)
           SELECT oid, 't'::regclass, 'r' FROM pg_subscription WHERE subname = 'writing'`,
        );
      } finally {
        await database.query('DROP SUBSCRIPTION writing');
      }
    });

    it('notices a write while a trigger was off, whatever was seen meanwhile', async () => {
      const trigger = (how: string): string =>
        `ALTER TABLE t ${how} TRIGGER materialized_views_capture_insert`;
      await start(`SELECT count(*) AS id FROM public.t`, { cron: YEARLY, skipUnchanged: true });
      await own().get(RefreshService).refresh(View);
      await expectToldOnce(trigger('DISABLE'));
      await database.query('INSERT INTO t VALUES (2)');
      await database.query(trigger('ENABLE ALWAYS'));
      expect(await isStale(database.client, VIEW)).toBe(true);
      expect(await attempt()).toBe('refreshed');
      expect(await attempt()).toBe('unchanged');
      // Such a trigger is enabled, but replicated writes don't fire it.
      await expectToldOnce(trigger('ENABLE'));
    });
  });
});
