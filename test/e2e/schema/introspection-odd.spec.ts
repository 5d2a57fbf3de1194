import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { escapeIdentifier } from 'pg';
import { type InspectedView, RefreshService, SchemaService } from '../../../lib/index.js';
import { statementsOf } from '../../support/statement-count.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

/** Hostile names, each used for a schema and for a view, a column and an index in it. */
const NAMES = [
  `"quoted"`,
  `it's`,
  `a.b`,
  `a.b.c`,
  `f(integer)`,
  `$1`,
  `x; DROP TABLE base; --`,
  `a\nb`,
  `a\\b`,
  ` `,
  `ünïcode 漢字 😀`,
  `SELECT`,
  `%I`,
  `constructor`,
  `__proto__`,
  'n'.repeat(63),
];

const quoted = (...names: string[]): string =>
  names.map((name) => escapeIdentifier(name)).join('.');

const Base = viewClass({ name: 'declared', expression: 'SELECT id FROM public.base' });

describe('introspection of odd views (features.md, row 13)', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let schema: SchemaService;
  let version: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE public.base (id int PRIMARY KEY, name text)');
    app = await bootWith(database, { views: [Base] });
    schema = app.get(SchemaService);
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    version = row?.version ?? 0;
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const inspect = async (name: string, of = 'public'): Promise<InspectedView> => {
    const view = (await schema.inspect({ schema: of })).find((each) => each.name === name);
    if (view === undefined) {
      throw new Error(`No view ${name}`);
    }
    return view;
  };

  it('takes any names of schemas, views, columns, types, indexes and functions', async () => {
    for (const name of NAMES) {
      await database.query(`CREATE SCHEMA ${quoted(name)}`);
      await database.query(`CREATE DOMAIN ${quoted(name, '1' + name.slice(1))} AS int`);
      await database.query(
        `CREATE FUNCTION ${quoted(name, name)}(${quoted(name)} int) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      );
      await database.query(
        `CREATE MATERIALIZED VIEW ${quoted(name, name)} AS
         SELECT ${quoted(name, name)}(id) AS ${quoted(name)}, id::${quoted(name, '1' + name.slice(1))} AS d FROM public.base`,
      );
      await database.query(
        `CREATE UNIQUE INDEX ${quoted('2' + name.slice(1))} ON ${quoted(name, name)} (${quoted(name)})`,
      );
      await database.query(`COMMENT ON COLUMN ${quoted(name, name, name)} IS 'of it''s own'`);
      await database.query(
        `CREATE VIEW ${quoted(name, '3' + name.slice(1))} AS SELECT * FROM ${quoted(name, name)}`,
      );
    }
    for (const name of NAMES) {
      const view = await inspect(name, name);
      expect(view).toMatchObject({
        view: `${name}.${name}`,
        schema: name,
        isManaged: false,
        columns: [{ name, type: 'integer', comment: "of it's own" }, { name: 'd' }],
        indexes: [{ name: '2' + name.slice(1), isUnique: true, allowsConcurrently: true }],
        dependents: [{ kind: 'view', schema: name, name: '3' + name.slice(1) }],
      });
      expect(view.dependencies).toEqual(
        expect.arrayContaining([
          { kind: 'table', schema: 'public', name: 'base' },
          expect.objectContaining({ kind: 'function', schema: name }),
        ]),
      );
      // The printed definition is valid SQL.
      await database.query(`CREATE TEMP VIEW again AS ${view.definition ?? ''}`);
      await database.query('DROP VIEW again');
      await database.query(`DROP SCHEMA ${quoted(name)} CASCADE`);
    }
  });

  it('tells two that only look the same apart', async () => {
    await database.query(`CREATE SCHEMA a; CREATE SCHEMA "a.b"`);
    await database.query(
      `CREATE VIEW a."b.c" AS SELECT 1 AS id; CREATE VIEW "a.b".c AS SELECT id FROM a."b.c"`,
    );
    const [one, other] = [await inspect('b.c', 'a'), await inspect('c', 'a.b')];
    expect(one.view).toBe(other.view);
    expect(one.dependents).toEqual([{ kind: 'view', schema: 'a.b', name: 'c' }]);
    expect([one.dependencies, other.dependents]).toEqual([[], []]);
    await database.query(`DROP SCHEMA a, "a.b" CASCADE`);
  });

  it('knows tables of every kind, and nothing of their parts', async () => {
    await database.query(`
      CREATE TABLE parted (id int) PARTITION BY RANGE (id);
      CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (9);
      CREATE TABLE child () INHERITS (base);
      CREATE UNLOGGED TABLE unlogged (id int);
      CREATE FOREIGN DATA WRAPPER nowhere;
      CREATE SERVER there FOREIGN DATA WRAPPER nowhere;
      CREATE FOREIGN TABLE far (id int) SERVER there;
      CREATE SEQUENCE counter;
      CREATE VIEW kinds AS SELECT p.id FROM parted p JOIN base USING (id) JOIN far USING (id)
        JOIN unlogged USING (id) JOIN pg_class c ON c.oid::int = p.id, counter;
      CREATE VIEW one_part AS SELECT id FROM part`);
    const table = (name: string): unknown => ({ kind: 'table', schema: 'public', name });
    const { dependencies } = await inspect('kinds');
    expect(dependencies).toHaveLength(4);
    expect(dependencies).toEqual(
      expect.arrayContaining(['parted', 'base', 'far', 'unlogged'].map(table)),
    );
    expect((await inspect('one_part')).dependencies).toEqual([table('part')]);
    await database.query(
      'DROP VIEW kinds, one_part; DROP TABLE child, unlogged, parted; DROP SEQUENCE counter',
    );
    await database.query('DROP FOREIGN DATA WRAPPER nowhere CASCADE');
  });

  it('leaves out views of extensions, temporary ones and those of the system', async () => {
    await database.query(`
      CREATE VIEW of_extension AS SELECT id FROM base; ALTER EXTENSION plpgsql ADD VIEW of_extension;
      CREATE VIEW above_it AS SELECT id FROM of_extension;
      CREATE TEMP VIEW passing AS SELECT id FROM base; CREATE TEMP VIEW base AS SELECT 1 AS id`);
    const names = (await schema.inspect()).map(({ name }) => name).sort();
    expect(names).toEqual(['above_it', 'declared']);
    // The skipped view still counts as a dependency.
    expect((await inspect('above_it')).allDependencies).toEqual([
      { kind: 'table', schema: 'public', name: 'base' },
      { kind: 'view', schema: 'public', name: 'of_extension' },
    ]);
    expect((await inspect('declared')).dependents).toEqual([]);
    await database.query(
      'ALTER EXTENSION plpgsql DROP VIEW of_extension; DROP VIEW of_extension CASCADE',
    );
    await database.query('DROP VIEW pg_temp.base, pg_temp.passing');
  });

  it('goes through all that can call a function: operators, aggregates, domains, casts, types', async () => {
    await database.query(`
      CREATE FUNCTION near(int, int) RETURNS bool LANGUAGE sql AS 'SELECT $1 = $2';
      CREATE OPERATOR <~> (LEFTARG = int, RIGHTARG = int, FUNCTION = near);
      CREATE FUNCTION step(int, int) RETURNS int LANGUAGE sql AS 'SELECT $2';
      CREATE AGGREGATE final(int) (SFUNC = step, STYPE = int);
      CREATE FUNCTION is_fine(int) RETURNS bool LANGUAGE sql AS 'SELECT true';
      CREATE DOMAIN fine AS int CHECK (is_fine(VALUE));
      CREATE TYPE pair AS (a int, b int);
      CREATE FUNCTION as_text(pair) RETURNS text LANGUAGE sql AS $f$SELECT 'x'$f$;
      CREATE CAST (pair AS text) WITH FUNCTION as_text(pair);
      CREATE VIEW calls AS
        SELECT final(id)::fine AS id, (ROW(1, 2)::pair)::text AS pair FROM base WHERE id <~> 1`);
    const functions = (await inspect('calls')).allDependencies
      .filter(({ kind }) => kind === 'function')
      .map(({ name }) => name);
    expect(functions.sort()).toEqual([
      'as_text(public.pair)',
      'final(integer)',
      'is_fine(integer)',
      'near(integer, integer)',
      'step(integer, integer)',
    ]);
    await database.query(
      'DROP VIEW calls; DROP DOMAIN fine; DROP AGGREGATE final(int); DROP TYPE pair CASCADE',
    );
    await database.query('DROP OPERATOR <~> (int, int); DROP FUNCTION near, step, is_fine');
  });

  it('knows what functions with a standard body read, from PostgreSQL 14 on', async () => {
    if (version < 140000) {
      return;
    }
    await database.query(`
      CREATE VIEW low AS SELECT id FROM base;
      CREATE FUNCTION mid() RETURNS SETOF int LANGUAGE sql BEGIN ATOMIC SELECT id FROM low; END;
      CREATE FUNCTION outer_one() RETURNS SETOF int LANGUAGE sql RETURN (SELECT max(m) FROM mid() m);
      CREATE PROCEDURE writes() LANGUAGE sql BEGIN ATOMIC DELETE FROM base WHERE id IN (SELECT id FROM low); END;
      CREATE VIEW high AS SELECT o AS id FROM outer_one() o`);
    const names = (objects: { name: string }[]): string[] => objects.map(({ name }) => name);
    const high = await inspect('high');
    expect(names(high.dependencies)).toEqual(['outer_one()']);
    expect(names(high.allDependencies)).toEqual(['base', 'low', 'mid()', 'outer_one()']);
    const low = await inspect('low');
    expect(names(low.allDependents).sort()).toEqual(['high', 'mid()', 'outer_one()', 'writes()']);
    await database.query('DROP VIEW low CASCADE');
  });

  it('tells a thousand views, one above the other, in the same few statements', async () => {
    const before = await statementsOf(() => schema.inspect());
    await database.query(`DO $$ BEGIN
      CREATE VIEW public.deep_0 AS SELECT id FROM public.base;
      FOR i IN 1..999 LOOP
        EXECUTE format('CREATE VIEW public.deep_%s AS SELECT id FROM public.deep_%s', i, i - 1);
      END LOOP;
    END $$`);
    const views: InspectedView[] = [];
    const sent = await statementsOf(async () => views.push(...(await schema.inspect())));
    expect(sent).toHaveLength(before.length);
    const deep = views.filter(({ name }) => name.startsWith('deep_'));
    expect(deep.map(({ name }) => name)).toEqual(deep.map((_, n) => `deep_${n}`));
    expect(deep[999]?.allDependencies).toHaveLength(1_000);
    expect(deep[0]?.allDependents).toHaveLength(999);
    await database.query(`DO $$ BEGIN
      FOR i IN REVERSE 999..0 LOOP EXECUTE format('DROP VIEW public.deep_%s', i); END LOOP;
    END $$`);
  }, 300_000);

  it('answers while views come and go', async () => {
    const session = await database.session();
    let isDone = false;
    const changing = (async () => {
      for (; !isDone;) {
        await session.query(
          'CREATE MATERIALIZED VIEW public.passing AS SELECT id FROM public.base',
        );
        await session.query('CREATE INDEX passing_id ON public.passing (id)');
        await session.query('CREATE VIEW public.over_passing AS SELECT id FROM public.passing');
        await session.query('DROP MATERIALIZED VIEW public.passing CASCADE');
      }
    })();
    for (let round = 0; round < 60; round++) {
      expect((await schema.inspect()).map(({ name }) => name)).toContain('declared');
    }
    isDone = true;
    await changing;
    await session.end();
    expect(await app.get(RefreshService).status(Base)).toMatchObject({ exists: true });
  });
});
