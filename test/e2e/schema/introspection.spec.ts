import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  type InspectedView,
  InvalidOptionsError,
  SchemaService,
  StatusError,
  UnknownViewError,
} from '../../../lib/index.js';
import { LibraryClient } from '../../../lib/postgres/library-client.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const QUOTED_REVENUE = '"Analytics eu"."daily ""Revenue"""';

const Revenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day, sum(amount) AS revenue FROM public.orders GROUP BY day`,
  columns: ['day', 'revenue'],
  key: ['day'],
});

/** Reads the other view through a function whose body PostgreSQL does not analyse for dependencies. */
const Hidden = viewClass({
  name: 'a_hidden',
  expression: `SELECT public.hidden() AS id`,
  dependsOn: [Revenue],
});

/** Objects on top of the declared view; those that read each other sort in the opposite order by name. */
const BY_HAND = [
  `CREATE VIEW public.plain AS SELECT day, revenue FROM ${QUOTED_REVENUE} WHERE day <> ''`,
  `CREATE FUNCTION public.total(factor integer) RETURNS SETOF public.plain LANGUAGE sql AS $f$ SELECT * FROM public.plain $f$`,
  `CREATE MATERIALIZED VIEW public.monthly AS SELECT sum(t.revenue) AS revenue FROM public.total(2) AS t WITH NO DATA`,
  `CREATE MATERIALIZED VIEW public.dotted AS SELECT id FROM "a.b".c`,
  `CREATE INDEX expression ON ${QUOTED_REVENUE} ((revenue + 1))`,
  `COMMENT ON MATERIALIZED VIEW ${QUOTED_REVENUE} IS 'per day'`,
  `COMMENT ON COLUMN ${QUOTED_REVENUE}.revenue IS 'in euros'`,
  `COMMENT ON INDEX "Analytics eu".expression IS 'for nobody'`,
];

describe('introspection of all views (features.md, row 13)', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let schema: SchemaService;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(
      `CREATE TABLE orders (id serial PRIMARY KEY, day text, amount numeric(10,2))`,
    );
    await database.query(`INSERT INTO orders (day, amount) VALUES ('mon', 1), ('tue', 5)`);
    await database.query(`CREATE SCHEMA "a.b"`);
    await database.query(`CREATE TABLE "a.b".c (id int)`);
    await database.query(`CREATE FUNCTION hidden() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    app = await bootWith(database, { views: [Hidden, Revenue], synchronize: true });
    schema = app.get(SchemaService);
    for (const statement of BY_HAND) {
      await database.query(statement);
    }
    await database.query(`ANALYZE ${QUOTED_REVENUE}`);
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  const inspect = async (view: string): Promise<InspectedView | undefined> =>
    (await schema.inspect()).find((each) => each.view === view);

  it('returns everything that the catalog has about a declared view', async () => {
    const [role] = await database.query<{ name: string }>('SELECT current_user::text AS name');
    const view = await inspect('Analytics eu.daily "Revenue"');
    expect(view).toMatchObject({
      dataSource: 'default',
      schema: 'Analytics eu',
      name: 'daily "Revenue"',
      kind: 'materialized-view',
      isManaged: true,
      owner: role?.name,
      comment: 'per day',
      isPopulated: true,
      rowCountEstimate: 2,
      columns: [
        { name: 'day', type: 'text' },
        { name: 'revenue', type: 'numeric', comment: 'in euros' },
      ],
      indexes: [
        {
          name: 'daily "Revenue"_key',
          method: 'btree',
          isUnique: true,
          isValid: true,
          allowsConcurrently: true,
          sizeBytes: expect.any(Number),
        },
        { name: 'expression', isUnique: false, allowsConcurrently: false, comment: 'for nobody' },
      ],
    });
    expect(view?.definition).toContain('FROM public.orders');
    expect(view?.indexes[0]?.definition).toContain('CREATE UNIQUE INDEX "daily ""Revenue""_key"');
    expect(view?.sizeBytes).toBeGreaterThan(0);
  });

  it('includes undeclared views, plain ones too', async () => {
    expect(await inspect('public.plain')).toMatchObject({
      kind: 'view',
      isManaged: false,
      isPopulated: true,
      indexes: [],
      columns: [{ name: 'day' }, { name: 'revenue' }],
    });
    const plain = await inspect('public.plain');
    expect([plain?.sizeBytes, plain?.rowCountEstimate]).toEqual([undefined, undefined]);
    expect(await inspect('public.monthly')).toMatchObject({
      kind: 'materialized-view',
      isManaged: false,
      isPopulated: false,
    });
  });

  it('counts scans of an index', async () => {
    await database.query(`SET enable_seqscan = off`);
    await database.query(`SELECT FROM ${QUOTED_REVENUE} WHERE day = 'mon'`);
    // The session reports its statistics when it ends, or a moment later.
    await database.until(
      `SELECT FROM pg_stat_user_indexes WHERE indexrelname = 'daily "Revenue"_key' AND idx_scan > 0`,
    );
    const view = await inspect('Analytics eu.daily "Revenue"');
    expect(view?.indexes[0]?.scanCount).toBeGreaterThan(0);
    expect(view?.indexes[1]?.scanCount).toBe(0);
  });

  it('knows what a view reads and what reads it, directly or not, through functions too', async () => {
    const table = { kind: 'table', schema: 'public', name: 'orders' };
    const revenue = { kind: 'materialized-view', schema: 'Analytics eu', name: 'daily "Revenue"' };
    const plain = { kind: 'view', schema: 'public', name: 'plain' };
    const total = { kind: 'function', schema: 'public', name: 'total(factor integer)' };
    const monthly = { kind: 'materialized-view', schema: 'public', name: 'monthly' };

    const above = await inspect('public.monthly');
    // From PostgreSQL 14 on, it also depends on the columns of the function's result.
    expect(above?.dependencies).toContainEqual(total);
    expect(above?.dependencies).not.toContainEqual(revenue);
    expect(above?.allDependencies).toEqual([table, revenue, plain, total]);
    expect(above?.allDependents).toEqual([]);
    const below = await inspect('Analytics eu.daily "Revenue"');
    expect(below?.dependencies).toEqual([table]);
    expect(below?.dependents).toContainEqual(plain);
    expect(below?.dependents).not.toContainEqual(total);
    expect(below?.allDependents).toEqual(expect.arrayContaining([plain, total, monthly]));
    expect(await inspect('public.dotted')).toMatchObject({
      dependencies: [{ kind: 'table', schema: 'a.b', name: 'c' }],
    });
  });

  it('knows what a class declares about a function that PostgreSQL cannot read', async () => {
    const hidden = await inspect('public.a_hidden');
    expect(hidden?.dependencies).toEqual([
      { kind: 'function', schema: 'public', name: 'hidden()' },
      { kind: 'materialized-view', schema: 'Analytics eu', name: 'daily "Revenue"' },
    ]);
  });

  it('lists each view after everything that it reads', async () => {
    const names = (await schema.inspect()).map(({ name }) => name);
    expect([...names].sort()).toEqual([
      'a_hidden',
      'daily "Revenue"',
      'dotted',
      'monthly',
      'plain',
    ]);
    const order = ['daily "Revenue"', 'plain', 'monthly'].map((name) => names.indexOf(name));
    expect(order).toEqual([...order].sort((one, other) => one - other));
    expect(names.indexOf('a_hidden')).toBeGreaterThan(names.indexOf('daily "Revenue"'));
  });

  it('lists one schema, with what it reads in others', async () => {
    const views = await schema.inspect({ schema: 'Analytics eu' });
    expect(views.map(({ name }) => name)).toEqual(['daily "Revenue"']);
    expect(views[0]?.allDependents).toContainEqual(
      expect.objectContaining({ schema: 'public', name: 'monthly' }),
    );
    expect(await schema.inspect({ schema: 'analytics eu' })).toEqual([]);
  });

  it('sends the same few statements for any number of views', async () => {
    const count = async (): Promise<number> => {
      const statements = jest.spyOn(LibraryClient.prototype, 'query');
      await schema.inspect();
      const { length } = statements.mock.calls;
      statements.mockRestore();
      return length;
    };
    const before = await count();
    await database.query(`DO $$ BEGIN FOR i IN 1..40 LOOP
  EXECUTE format('CREATE VIEW many_%s AS SELECT * FROM plain', i);
END LOOP; END $$`);
    expect(await count()).toBe(before);
    expect(before).toBeLessThan(10);
    await database.query(`DO $$ BEGIN FOR i IN 1..40 LOOP
  EXECUTE format('DROP VIEW many_%s', i);
END LOOP; END $$`);
  });

  it('does not wait for a view that is locked against readers, and still returns the rest', async () => {
    const holder = await database.session();
    await holder.query(`BEGIN; REFRESH MATERIALIZED VIEW ${QUOTED_REVENUE}`);
    try {
      const views = await schema.inspect();
      const revenue = views.find(({ name }) => name === 'daily "Revenue"');
      expect(revenue).toMatchObject({ isManaged: true, columns: [{ name: 'day' }, {}] });
      expect([revenue?.definition, revenue?.sizeBytes]).toEqual([undefined, undefined]);
      expect(revenue?.indexes.map(({ sizeBytes }) => sizeBytes)).toEqual([undefined, undefined]);
      // This view reads the locked one.
      expect(views.find(({ name }) => name === 'plain')?.definition).toBeUndefined();
      expect(views.find(({ name }) => name === 'dotted')?.definition).toContain('a.b');
    } finally {
      await holder.end();
    }
  });

  it('answers within its timeout when the catalog itself is locked', async () => {
    const holder = await database.session();
    await holder.query(`BEGIN; LOCK TABLE pg_catalog.pg_rewrite IN ACCESS EXCLUSIVE MODE`);
    try {
      await expect(schema.inspect({ timeout: '300ms' })).rejects.toThrow(StatusError);
    } finally {
      await holder.end();
    }
  });

  it('handles views that read each other in a circle through a function', async () => {
    await database.query(`CREATE VIEW round AS SELECT 1 AS id`);
    await database.query(
      `CREATE FUNCTION around() RETURNS SETOF round LANGUAGE sql AS 'SELECT * FROM round'`,
    );
    await database.query(`CREATE OR REPLACE VIEW round AS SELECT id FROM around()`);
    const round = await inspect('public.round');
    expect(round?.allDependencies).toEqual([
      { kind: 'function', schema: 'public', name: 'around()' },
    ]);
    await database.query(`CREATE OR REPLACE VIEW round AS SELECT 1 AS id`);
    await database.query(`DROP VIEW round CASCADE`);
  });

  it('refuses unknown arguments', async () => {
    await expect(schema.inspect({ schema: '' })).rejects.toThrow(InvalidOptionsError);
    await expect(schema.inspect({ dataSource: 'other' })).rejects.toThrow(UnknownViewError);
    await expect(schema.inspect({ shema: 'public' } as object)).rejects.toThrow('schema');
  });
});
