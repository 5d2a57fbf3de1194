import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from 'pg';
import { SchemaService, SchemaSyncError, UnmanagedDependentsError } from '../../../lib/index.js';
import { oneIn } from '../../support/matrix.js';
import { catalog } from '../../support/catalog.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const V = '"Far away"."Totals ""x"""';
const totals: TestView = {
  name: 'Totals "x"',
  schema: 'Far away',
  expression: 'SELECT day, sum(amount) AS total FROM public.orders GROUP BY day',
  columns: ['day', 'total'],
};
const changed: TestView = { ...totals, expression: `${totals.expression} HAVING count(*) > 0` };
const other: TestView = { name: 'other', expression: 'SELECT 1 AS id' };

interface Dependent {
  what: string;
  make: string[];
  said: RegExp;
  /** The first version of PostgreSQL that supports it, times 10,000. */
  since?: number;
  /** Whether another session creates it, and it lives as long as that session. */
  elsewhere?: boolean;
}

const DEPENDENTS: Dependent[] = [
  {
    what: 'a rule on a table',
    make: [
      `CREATE RULE note AS ON INSERT TO public.orders DO ALSO INSERT INTO public.audit SELECT total FROM ${V}`,
    ],
    said: /rule note on table public\.orders/,
  },
  {
    what: 'a conditional rule on a plain view',
    make: [
      'CREATE VIEW public.plain AS SELECT * FROM public.audit',
      `CREATE RULE note AS ON DELETE TO public.plain WHERE EXISTS (SELECT FROM ${V}) DO INSTEAD NOTHING`,
    ],
    said: /rule note on view public\.plain/,
  },
  {
    what: 'a temporary view of another session',
    make: [`CREATE TEMPORARY VIEW mine AS SELECT * FROM ${V}`],
    said: /view .*mine/,
    elsewhere: true,
  },
  {
    what: 'a temporary table with its row type, of another session',
    make: [`CREATE TEMPORARY TABLE mine (whole ${V})`],
    said: /table .*mine/,
    elsewhere: true,
  },
  {
    what: 'a view of an extension',
    make: [
      `CREATE VIEW public.member AS SELECT * FROM ${V}`,
      'ALTER EXTENSION plpgsql ADD VIEW public.member',
    ],
    said: /view public\.member of extension plpgsql/,
  },
  {
    what: 'a materialized view of an extension',
    make: [
      `CREATE MATERIALIZED VIEW public.member AS SELECT * FROM ${V}`,
      'ALTER EXTENSION plpgsql ADD MATERIALIZED VIEW public.member',
    ],
    said: /materialized view public\.member of extension plpgsql/,
  },
  {
    what: 'a function with an SQL body',
    make: [
      `CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM ${V}; END`,
    ],
    said: /function public\.f\(\)/,
    since: 140_000,
  },
  {
    what: 'a function that returns its rows',
    make: [
      `CREATE FUNCTION public.f() RETURNS SETOF ${V} LANGUAGE sql AS $$ SELECT * FROM ${V} $$`,
    ],
    said: /function public\.f\(\)/,
  },
  {
    what: 'a policy',
    make: [
      'ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY',
      `CREATE POLICY seen ON public.orders USING (day IN (SELECT day FROM ${V}))`,
    ],
    said: /policy seen on table public\.orders/,
  },
  {
    what: 'a default',
    make: [`ALTER TABLE public.audit ALTER COLUMN note SET DEFAULT (NULL::${V})::text`],
    said: /default.* of table public\.audit|default for table public\.audit column note/,
  },
  {
    what: 'a constraint',
    make: [`ALTER TABLE public.audit ADD CONSTRAINT whole CHECK ((NULL::${V}) IS NULL)`],
    said: /constraint whole on table public\.audit/,
  },
  {
    what: 'a column of a table',
    make: [`ALTER TABLE public.audit ADD COLUMN rows ${V}[]`],
    said: /table public\.audit/,
  },
  {
    what: 'an index of a table',
    make: [`CREATE INDEX audit_i ON public.audit (((NULL::${V}) IS NULL))`],
    said: /(index|table) public\.audit/,
  },
  {
    what: 'a domain',
    make: [`CREATE DOMAIN public.day_total AS ${V}`],
    said: /type public\.day_total/,
  },
  {
    what: 'a composite type',
    make: [`CREATE TYPE public.pair AS (a ${V}, b int)`],
    said: /type public\.pair/,
  },
  {
    what: 'a trigger with a condition',
    make: [
      `CREATE TRIGGER when_it AFTER INSERT ON public.audit FOR EACH ROW WHEN ((NULL::${V}) IS NULL) EXECUTE FUNCTION public.nothing()`,
    ],
    said: /trigger when_it on table public\.audit|table public\.audit/,
  },
  {
    what: 'a plain view that reads it',
    make: [`CREATE VIEW public.plain AS SELECT * FROM ${V}`],
    said: /view public\.plain/,
  },
  {
    what: 'a plain view that only names its type',
    make: [`CREATE VIEW public.plain AS SELECT NULL::${V} AS whole`],
    said: /view public\.plain/,
  },
];

describe('what depends on a view', () => {
  let database: TestDatabase;
  let releases: Releases;
  let elsewhere: Client;
  let version = 0;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
    const [row] = await database.query<{ version: string }>(
      `SELECT current_setting('server_version_num') AS version`,
    );
    version = Number(row?.version);
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE TABLE orders (id int, day text, amount int)');
    await database.query('CREATE TABLE audit (total numeric, note text)');
    await database.query(
      'CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$',
    );
    await database.query(`INSERT INTO orders VALUES (1, 'mon', 10)`);
    elsewhere = await database.session();
  });

  afterEach(async () => {
    await elsewhere.end();
    await releases.stop();
    for (const kind of ['VIEW', 'MATERIALIZED VIEW']) {
      await database
        .query(`ALTER EXTENSION plpgsql DROP ${kind} public.member`)
        .catch(() => undefined);
    }
  });

  afterAll(async () => {
    await releases.end();
    await database.drop();
  });

  async function make({ make: statements, elsewhere: isElsewhere }: Dependent): Promise<void> {
    for (const statement of statements) {
      await (isElsewhere ? elsewhere.query(statement) : database.query(statement));
    }
  }

  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'it did not fail',
      (error: unknown) => error,
    );

  it.each(oneIn(2, DEPENDENTS))('is named before anything is built: $what', async (dependent) => {
    if (version < (dependent.since ?? 0)) {
      return;
    }
    await releases.start([totals, other]);
    await make(dependent);
    const was = await catalog(database);
    const schema = releases.get(SchemaService);
    const drops = [
      await failureOf(schema.drop('Far away.Totals "x"')),
      await failureOf(schema.dropAll()),
    ];
    const failures = [
      await failureOf(schema.alterTable('public.orders', () => Promise.resolve())),
      await failureOf(releases.start([changed, other])),
      await failureOf(releases.start([changed, other], { rebuildStrategy: 'drop-and-create' })),
      await failureOf(releases.start([other], { prune: true })),
    ];
    drops.forEach((failure) => expect(failure).toBeInstanceOf(SchemaSyncError));
    failures.forEach((failure) => expect(failure).toBeInstanceOf(UnmanagedDependentsError));
    for (const failure of [...drops, ...failures]) {
      expect(String(failure)).toMatch(dependent.said);
      expect(String(failure)).toContain('Nothing has been changed');
    }
    expect(await catalog(database)).toEqual(was);
  });

  it('is not a part of the view itself, nor of a declared reader', async () => {
    const reader: TestView = {
      name: 'reader',
      expression: `SELECT t AS whole, t.day FROM ${V} t`,
      columns: ['whole', 'day'],
      indexes: [{ name: 'reader_i', keys: [{ expression: '(whole).total' }] }],
    };
    await releases.start([totals, reader]);
    await database.query(`CREATE INDEX own ON ${V} ((totals_text(total)))`).catch(() => undefined);
    await database.query(`CREATE STATISTICS s ON day, total FROM ${V}`);
    const schema = await releases.start([changed, reader]);
    expect(await schema.diff()).toEqual([]);
    await schema.dropAll();
    expect(schema.registered()).toHaveLength(2);
    expect(await database.query(`SELECT FROM pg_class WHERE relkind = 'm'`)).toEqual([]);
  });

  it('stops a change where it is to be rebuilt, and reads a column that goes', async () => {
    await releases.start([totals, other]);
    await database.query(`CREATE VIEW public.plain AS SELECT total FROM ${V}`);
    const was = await catalog(database);
    const narrow = { ...totals, expression: 'SELECT day FROM public.orders', columns: ['day'] };
    const failure = await failureOf(
      releases.start([narrow, other], { unmanagedDependents: 'rebuild' }),
    );
    expect(failure).toBeInstanceOf(SchemaSyncError);
    expect(String(failure)).toMatch(
      /make view "public\.plain" on the new definitions below it: 42703: .* Nothing has been changed/,
    );
    expect((failure as SchemaSyncError).hint).toContain('Change or drop it yourself');
    expect(await catalog(database)).toEqual(was);
  });

  it('a declared view that reads it stops it from being dropped alone', async () => {
    const schema = await releases.start([
      totals,
      { name: 'reader', expression: `SELECT sum(total) AS id FROM ${V}` },
    ]);
    await expect(schema.drop('Far away.Totals "x"')).rejects.toThrow(
      /Cannot drop "Far away\.Totals "x"": materialized view public\.reader depends on it/,
    );
    await schema.drop('public.reader');
    await schema.drop('Far away.Totals "x"');
  });

  it.each([
    ['unchanged', 'SELECT sum(total) AS id FROM "Far away"."Totals ""x"""'],
    ['changed', 'SELECT sum(total) + 1 AS id FROM "Far away"."Totals ""x"""'],
  ])('a declared view that still reads an orphan is named: %s', async (_, expression) => {
    const reader = { name: 'reader', expression: `SELECT sum(total) AS id FROM ${V}` };
    await releases.start([totals, reader]);
    await expect(releases.start([{ ...reader, expression }], { prune: true })).rejects.toThrow(
      /Cannot drop "Far away\.Totals "x"": materialized view public\.reader depends on it/,
    );
    await releases.start([{ ...reader, expression: 'SELECT 2 AS id' }], { prune: true });
    expect(await database.query(`SELECT relname FROM pg_class WHERE relkind = 'm'`)).toEqual([
      { relname: 'reader' },
    ]);
  });

  describe.each(['side-by-side', 'drop-and-create'] as const)(
    'row types, %s',
    (rebuildStrategy) => {
      it.each([
        ['a whole row', `SELECT t AS whole FROM ${V} t`],
        ['an array of rows', `SELECT array_agg(t) AS whole FROM ${V} t`],
        ['a row that is no row of it', `SELECT NULL::${V} AS whole`],
        ['a field of a row', `SELECT (t).total AS whole FROM (SELECT t FROM ${V} t) AS x`],
        ['a row in a row', `SELECT ROW(t, 1)::text AS whole FROM ${V} t`],
      ])('a declared view with %s follows', async (_, expression) => {
        const reader = { name: 'reader', expression, columns: ['whole'] };
        const top = {
          name: 'top',
          expression: 'SELECT r AS whole FROM reader r',
          columns: ['whole'],
        };
        await releases.start([totals, reader, top]);
        const schema = await releases.start([changed, reader, top], { rebuildStrategy });
        expect(await schema.diff()).toEqual([]);
        await schema.alterTable('public.orders', (queryRunner) =>
          queryRunner.query('ALTER TABLE orders ALTER COLUMN amount TYPE bigint'),
        );
        const wider = {
          ...changed,
          expression: `SELECT day, total, 1 AS more FROM (${changed.expression}) AS x`,
        };
        expect(
          await (await releases.start([wider, reader, top], { rebuildStrategy })).diff(),
        ).toEqual([]);
      });
    },
  );

  it('says if a declared view belongs to an extension', async () => {
    await releases.start([totals, other]);
    await database.query('ALTER EXTENSION plpgsql ADD MATERIALIZED VIEW public.other');
    try {
      for (const synchronize of [true, 'create', 'verify'] as const) {
        await expect(releases.start([totals, other], { synchronize })).rejects.toThrow(
          /"public\.other" of View of other: the relation of this name belongs to extension "plpgsql"/,
        );
      }
    } finally {
      await database.query('ALTER EXTENSION plpgsql DROP MATERIALIZED VIEW public.other');
    }
  });
});
