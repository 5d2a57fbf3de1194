import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  RefreshService,
  SchemaDriftError,
  type SchemaDifference,
  SchemaService,
  SchemaSyncError,
} from '../../../lib/index.js';
import { oneIn } from '../../support/matrix.js';
import { catalog } from '../../support/catalog.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const daily: TestView = {
  schema: 'Odd schema',
  name: 'daily "sums"',
  expression: `SELECT day, plus(sum(amount)::public.quantity) AS total FROM public.orders GROUP BY day`,
  columns: ['day', 'total'],
  key: ['day'],
};
const above: TestView = {
  name: 'above',
  expression: `SELECT max(total) AS id FROM "Odd schema"."daily ""sums"""`,
};
const other: TestView = { name: 'other', expression: 'SELECT count(*) AS id FROM public.items' };
const added: TestView = { name: 'added', expression: 'SELECT id FROM public.items' };
const NAME = 'Odd schema.daily "sums"';

/** Changes by a DBA after which the existing view still works, but its declared query fails. */
const CHANGES: [what: string, statements: string, said: RegExp][] = [
  [
    'a column is renamed',
    'ALTER TABLE orders RENAME amount TO price',
    /42703: column "amount" does not exist/,
  ],
  [
    'another column that groups is renamed',
    'ALTER TABLE orders RENAME day TO "The day"',
    /42703: column "day" does not exist/,
  ],
  [
    'a column is replaced by one of another type',
    'ALTER TABLE orders RENAME amount TO old; ALTER TABLE orders ADD amount json',
    /42883: function sum\(json\) does not exist/,
  ],
  [
    'the table is renamed',
    'ALTER TABLE orders RENAME TO sales',
    /42P01: relation "public.orders" does not exist/,
  ],
  [
    'the table is moved',
    'CREATE SCHEMA "Far away"; ALTER TABLE orders SET SCHEMA "Far away"',
    /42P01: relation "public.orders" does not exist/,
  ],
  [
    'a type is renamed',
    'ALTER TYPE quantity RENAME TO amount_of',
    /42704: type "public.quantity" does not exist/,
  ],
  [
    'a function is renamed',
    'ALTER FUNCTION plus(int) RENAME TO minus',
    /42883: function plus\(quantity\) does not exist/,
  ],
  [
    'another function of that name is there too',
    `ALTER FUNCTION plus(int) RENAME TO minus;
     CREATE FUNCTION plus(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT a';
     CREATE FUNCTION plus(a int, c text DEFAULT '') RETURNS int LANGUAGE sql AS 'SELECT a'`,
    /42725: function plus\(quantity\) is not unique/,
  ],
];

const LEAVING: ModuleOptions[] = [
  { synchronize: 'create' },
  { synchronize: 'verify' },
  { synchronize: true, onDrift: 'continue' },
  { synchronize: true, onMissingTable: 'skip' },
];

describe('a view that works, but whose declared query fails', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (day int, amount int)');
    await database.query('CREATE TABLE items (id int)');
    await database.query('CREATE DOMAIN quantity AS int');
    await database.query('INSERT INTO orders VALUES (1, 2), (1, 3)');
    await database.query(
      `CREATE FUNCTION plus(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'`,
    );
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
    await database.drop();
  });

  const start = async (...options: Parameters<Releases['start']>): Promise<SchemaService> =>
    releases.start(...options);
  const failureOf = async (work: Promise<unknown>): Promise<Error> => {
    const failure = await work.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(Error);
    return failure as Error;
  };
  const failing = (differences: SchemaDifference[]): string[] =>
    differences.filter(({ kind }) => kind === 'query-fails').map(({ view }) => view);

  it.each(oneIn(2, CHANGES))(
    'is reported, and does not stop others: %s',
    async (_, statements, said) => {
      const schema = await start([daily, above, other]);
      await database.query(statements);
      const was = await catalog(database);

      const found = await schema.diff();
      expect(found).toEqual([
        { view: NAME, kind: 'query-fails', description: expect.stringMatching(said) },
      ]);
      expect(found[0]?.description).toContain(`View of ${daily.name}`);
      const unable: [() => Promise<unknown>, new (...args: never[]) => Error][] = [
        [() => schema.verify(), SchemaDriftError],
        [() => schema.plan(), SchemaSyncError],
        [() => schema.generateMigration({ name: 'Next' }), SchemaSyncError],
        [() => start([daily, above, other, added], { synchronize: true }), SchemaSyncError],
        [() => start([daily], { synchronize: 'create', onDrift: 'fail' }), SchemaDriftError],
      ];
      for (const [attempt, type] of unable) {
        const failure = await failureOf(attempt());
        expect(failure).toBeInstanceOf(type);
        expect(failure).toMatchObject({ view: NAME });
        expect(failure.message).toMatch(said);
        expect(failure.message).toContain(NAME);
        expect(failure.message).toContain(`View of ${daily.name}`);
      }
      expect(await catalog(database)).toEqual(was);

      for (const options of LEAVING) {
        await start([daily, above, other, added], options);
        const warning = releases.warnings.find((each) => each.includes(NAME));
        expect(warning).toMatch(said);
        expect(warning).toContain(`View of ${daily.name}`);
        const refreshes = releases.get(RefreshService);
        expect(await refreshes.refresh(NAME)).toMatchObject({ outcome: 'refreshed' });
      }
      expect(await database.query('SELECT id FROM added')).toEqual([]);
      expect(await database.query('SELECT id FROM above')).toEqual([{ id: 5 }]);
    },
  );

  it('is as declared again when the change is undone or the class follows', async () => {
    await start([daily, above]);
    await database.query('ALTER TABLE orders RENAME amount TO price');
    const corrected = { ...daily, expression: daily.expression.replace('amount', 'price') };
    expect(await (await start([corrected, above])).diff()).toEqual([]);
    await database.query('ALTER TABLE orders RENAME price TO amount');
    expect(failing(await releases.get(SchemaService).diff())).toEqual([NAME]);
    expect(await (await start([daily, above])).diff()).toEqual([]);
  });

  it('is distinguished from others that change, below it and above it', async () => {
    const base = { name: 'base', expression: 'SELECT id FROM items' };
    const middle = {
      name: 'middle',
      expression: 'SELECT base.id, amount FROM base, orders',
      columns: ['id', 'amount'],
    };
    const top = { name: 'top', expression: 'SELECT amount AS id FROM middle' };
    const schema = await start([base, middle, top]);
    await database.query('ALTER TABLE orders RENAME amount TO price');
    expect(failing(await schema.diff())).toEqual(['public.middle']);
    const changed = { ...base, expression: 'SELECT id, id + 1 AS next FROM items' };
    const higher = { ...top, expression: 'SELECT amount + next AS id FROM middle, base' };
    const next = await start([changed, middle, higher], { onMissingTable: 'skip' });
    expect(await next.diff()).toEqual([
      { view: 'public.middle', kind: 'query-fails', description: expect.anything() },
    ]);
    expect(releases.reports[0]?.views).toEqual(
      expect.arrayContaining([
        { view: 'public.base', outcome: 'changed', reason: 'Its definition changed' },
        { view: 'public.middle', outcome: 'skipped', reason: expect.stringMatching(/42703/) },
        { view: 'public.top', outcome: 'changed', reason: 'Its definition changed' },
      ]),
    );
    const error = await failureOf(start([base, middle, top], {}));
    expect(error.message).toMatch(/"public\.middle" of View of middle: 42703/);
  });

  it('is named with all others, whether each fails by itself or because of another', async () => {
    const views = [
      daily,
      { name: 'first', expression: 'SELECT id FROM items' },
      { name: 'second', expression: 'SELECT id + 1 AS id FROM first WHERE id > 0' },
      above,
    ];
    const schema = await start(views);
    await database.query('ALTER TABLE orders RENAME amount TO price');
    await database.query('ALTER TABLE items RENAME id TO "ID"');
    expect(failing(await schema.diff())).toEqual([NAME, 'public.first']);
    const error = await failureOf(start(views));
    expect(error.message).toMatch(/"Odd schema\.daily "sums"" of .*42703: column "amount"/);
    expect(error.message).toMatch(/"public\.first" of .*42703: column "id"/);
    expect(error.message).not.toMatch(/"public\.second"/);
  });

  it('is not a view whose query works once another is as declared', async () => {
    await start([daily, above, other]);
    const wider = {
      ...daily,
      expression: daily.expression.replace('AS total', 'AS total, count(*) AS orders'),
    };
    const reading = { ...above, expression: above.expression.replace('total', 'orders') };
    await start([wider, reading, other], { synchronize: 'create' });
    expect(releases.warnings.join()).toMatch(/42703: column "orders" does not exist/);
    const differences = await releases.get(SchemaService).diff();
    expect(differences.map(({ kind }) => kind)).toEqual(['definition', 'definition']);
    expect(await (await start([wider, reading, other])).diff()).toEqual([]);
  });

  it('is reported if a release removes what another view reads', async () => {
    const schema = await start([daily, above]);
    const narrow = {
      ...daily,
      expression: 'SELECT day FROM orders GROUP BY day',
      columns: ['day'],
    };
    await schema.verify();
    const next = await start([narrow, above], { synchronize: 'create' });
    expect((await next.diff()).map(({ view, kind }) => [view, kind])).toEqual(
      expect.arrayContaining([
        [NAME, 'definition'],
        ['public.above', 'query-fails'],
      ]),
    );
    expect((await failureOf(next.plan())).message).toMatch(
      /"public\.above" of View of above: 42703: column "total" does not exist/,
    );
  });

  it('is named, and not left out, if a release removes what it reads', async () => {
    await start([daily, above]);
    const narrow = {
      ...daily,
      expression: 'SELECT day FROM orders GROUP BY day',
      columns: ['day'],
    };
    const error = await failureOf(start([narrow, above], { onMissingTable: 'skip' }));
    expect(error.message).toMatch(/"public\.above" .*42703: column "total" does not exist/);
    expect(await database.query('SELECT id FROM above')).toEqual([{ id: 5 }]);
  });

  it('is reported if it was dropped with what it read', async () => {
    const schema = await start([daily, above, other]);
    await database.query('DROP TABLE orders CASCADE');
    const differences = await schema.diff();
    expect(differences).toEqual(
      expect.arrayContaining([
        { view: NAME, kind: 'missing', description: 'it is missing' },
        { view: NAME, kind: 'query-fails', description: expect.stringMatching(/42P01/) },
      ]),
    );
    expect(differences.map(({ view }) => view)).not.toContain('public.other');
    expect((await failureOf(schema.verify())).message).toMatch(/View of daily "sums" fails: 42P01/);
  });

  it('is reported if a star in its query gives other columns than the class maps', async () => {
    const star = { ...other, expression: 'SELECT * FROM items' };
    const schema = await start([star, daily]);
    await database.query('ALTER TABLE items RENAME id TO "ID"');
    expect(await schema.diff()).toEqual([
      { view: 'public.other', kind: 'definition', description: expect.anything() },
      {
        view: 'public.other',
        kind: 'refused',
        description: expect.stringMatching(/View of other\.id is mapped to column "id"/),
      },
    ]);
  });

  it('is reported if USAGE on a schema was revoked', async () => {
    const { name } = database;
    const role = `role_of_${name}`;
    await database.query(`CREATE ROLE ${role} LOGIN`);
    await database.query(`GRANT CREATE, TEMP ON DATABASE ${name} TO ${role}`);
    await database.query(`CREATE SCHEMA far CREATE TABLE far.things (id int)`);
    await database.query(`GRANT USAGE ON SCHEMA far TO ${role}`);
    await database.query(`GRANT SELECT ON far.things TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    const things = { schema: 'own', name: 'things', expression: 'SELECT id FROM far.things' };
    await start([things], {}, { url: url.href });
    await database.query(`REVOKE USAGE ON SCHEMA far FROM ${role}`);
    await database.query('ALTER TABLE far.things RENAME id TO "ID"');
    const next = await start([things], { synchronize: 'create' }, { url: url.href });
    expect(releases.warnings.join('\n')).toMatch(/42501: permission denied for schema far/);
    expect(await next.diff()).toEqual([
      {
        view: 'own.things',
        kind: 'query-fails',
        description: expect.stringMatching(
          /View of things .*42501: permission denied for schema far/,
        ),
      },
    ]);
    const failure = await failureOf(start([things], {}, { url: url.href }));
    expect(failure.message).toMatch(/"own\.things" of View of things: 42501/);
    await releases.stop();
    await database.query(`DROP OWNED BY ${role} CASCADE`);
    await database.query(`DROP ROLE ${role}`);
  });

  it('goes on if a table below it was renamed', async () => {
    const told: TestView = { ...other, refresh: { on: ['public.orders'] } };
    for (const options of [{ synchronize: true }, ...LEAVING]) {
      await start([told, daily]);
      await database.query('ALTER TABLE orders RENAME TO sales');
      const schema = await start([told], options);
      expect(releases.warnings.join('\n')).toMatch(
        /"public\.other".*`refresh\.on` of View of other names "public\.orders", which does not exist/,
      );
      expect((await schema.diff()).map(({ view, kind }) => [view, kind])).toContainEqual([
        'public.other',
        'table-missing',
      ]);
      await database.query('ALTER TABLE sales RENAME TO orders');
    }
    const wrong = { ...added, refresh: { on: ['public.nowhere'] } };
    const failure = await failureOf(start([told, wrong]));
    expect(failure.message).toMatch(/"public\.added" of View of added.*"public\.nowhere"/);
  });
});
