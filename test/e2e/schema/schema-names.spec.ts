import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  MaterializedViewsModule,
  RefreshService,
  SchemaService,
  SchemaSyncError,
  type ViewIndexOptions,
} from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { oneIn, RUNS_WHOLE_MATRIX } from '../../support/matrix.js';
import { Random } from '../../support/random.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootRelease } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView } from '../../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

const view = (name: string, given: Partial<TestView> = {}): TestView => ({
  name,
  expression: `SELECT id, '${name}' AS origin FROM items`,
  columns: ['id', 'origin'],
  ...given,
});

const indexed = (name: string, index: string, given: Partial<TestView> = {}): TestView =>
  view(name, { indexes: [{ name: index, keys: ['id'], unique: true }], ...given });

const byId = (name: string): ViewIndexOptions => ({ name, keys: ['id'], unique: true });
const byOrigin = (name: string): ViewIndexOptions => ({ name, keys: ['origin'] });

/** Old and new release. New views and indexes take the names of dropped or renamed ones. */
const RELEASES: [string, TestView[], TestView[]][] = [
  ['a replaced class', [indexed('a', 'k')], [indexed('b', 'k')]],
  [
    'a replaced class in another order of names',
    [indexed('b', 'k'), view('c')],
    [indexed('a', 'k'), view('c')],
  ],
  [
    'a replaced class beside a changed view',
    [indexed('a', 'k'), view('c')],
    [indexed('b', 'k'), view('c', { expression: 'SELECT id, 2 AS origin FROM items' })],
  ],
  [
    'a rename beside a new view of the old name',
    [indexed('a', 'k')],
    [indexed('b', 'k2', { renamedFrom: 'a', expression: view('a').expression }), indexed('a', 'k')],
  ],
  [
    'an index that moves to another view',
    [indexed('a', 'k'), view('b')],
    [view('a'), indexed('b', 'k')],
  ],
  [
    'an index that moves to a changed view',
    [indexed('a', 'k'), view('b')],
    [view('a'), indexed('b', 'k', { expression: 'SELECT id, 2 AS origin FROM items' })],
  ],
  [
    'an index that moves from a changed view',
    [indexed('a', 'k'), view('b')],
    [view('a', { expression: 'SELECT id, 2 AS origin FROM items' }), indexed('b', 'k')],
  ],
  ['an index that moves to a new view', [indexed('a', 'k')], [view('a'), indexed('b', 'k')]],
  [
    'names of indexes that are exchanged',
    [indexed('a', 'k'), indexed('b', 'l')],
    [indexed('a', 'l'), indexed('b', 'k')],
  ],
  [
    'names of indexes that are exchanged between changed views',
    [indexed('a', 'k'), indexed('b', 'l')],
    [
      indexed('a', 'l', { expression: 'SELECT id, 2 AS origin FROM items' }),
      indexed('b', 'k', { expression: 'SELECT id, 3 AS origin FROM items' }),
    ],
  ],
  ['an index of the name of a view that goes', [view('a'), view('b')], [indexed('b', 'a')]],
  ['a view of the name of an index that goes', [indexed('a', 'k')], [view('k')]],
  [
    'a chain of names',
    [view('a'), indexed('b', 'k')],
    [
      view('b', { renamedFrom: 'a', expression: view('a').expression }),
      indexed('c', 'k', { renamedFrom: 'b', expression: view('b').expression }),
    ],
  ],
  [
    'a chain of names with a new view at its beginning, and changes',
    [view('a'), view('b')],
    [
      view('a', { expression: 'SELECT id, 1 AS origin FROM b' }),
      view('b', { renamedFrom: 'a', expression: view('a').expression }),
      view('c', { renamedFrom: 'b', expression: 'SELECT id, 5 AS origin FROM items' }),
    ],
  ],
  [
    'names that are exchanged',
    [view('a'), view('b')],
    [
      view('a', { renamedFrom: 'b', expression: view('b').expression }),
      view('b', { renamedFrom: 'a', expression: view('a').expression }),
    ],
  ],
  [
    'a circle of three names, of which one changes, and what reads them',
    [view('a'), view('b'), view('c'), view('top', { expression: 'SELECT id, origin FROM a' })],
    [
      view('a', { renamedFrom: 'c', expression: view('c').expression }),
      view('b', { renamedFrom: 'a', expression: 'SELECT id, 7 AS origin FROM items' }),
      view('c', { renamedFrom: 'b', expression: view('b').expression }),
      view('top', { expression: 'SELECT id, origin FROM b' }),
    ],
  ],
  [
    'a schema',
    [indexed('a', 'k'), view('top', { expression: 'SELECT id, origin FROM a' })],
    [
      indexed('a', 'k', { schema: 'Far away', renamedFrom: 'public.a' }),
      view('top', { expression: 'SELECT id, 1 AS origin FROM "Far away".a' }),
    ],
  ],
  [
    'a rename to the name of an index of a changed view',
    [view('a'), indexed('b', 'k')],
    [
      view('k', { renamedFrom: 'a', expression: view('a').expression }),
      view('b', { expression: 'SELECT id, 2 AS origin FROM items' }),
    ],
  ],
  [
    'a rename to the name of an index that goes',
    [view('a'), indexed('b', 'k')],
    [view('k', { renamedFrom: 'a', expression: view('a').expression }), view('b')],
  ],
  [
    'a rename and a change that exchange names of views and indexes',
    [indexed('a', 'k'), indexed('b', 'l')],
    [
      indexed('l', 'b', { renamedFrom: 'a', expression: view('a').expression }),
      indexed('k', 'a', { renamedFrom: 'b', expression: 'SELECT id, 2 AS origin FROM items' }),
    ],
  ],
  [
    'a schema in which a changed view has the name of an index',
    [indexed('a', 'k', { schema: 'Far away' }), indexed('b', 'k')],
    [
      indexed('a', 'k', { renamedFrom: 'Far away.a', expression: view('a').expression }),
      indexed('b', 'l', { expression: 'SELECT id, 2 AS origin FROM items' }),
    ],
  ],
  [
    'a schema in which another view gives up the name of an index',
    [indexed('a', 'k', { schema: 'Far away' }), indexed('b', 'k')],
    [
      indexed('a', 'k', { renamedFrom: 'Far away.a', expression: view('a').expression }),
      indexed('b', 'l'),
    ],
  ],
  [
    'a schema in which a view that goes has the name of an index',
    [indexed('a', 'k', { schema: 'Far away' }), indexed('b', 'k'), view('c')],
    [
      indexed('a', 'k', { renamedFrom: 'Far away.a', expression: view('a').expression }),
      view('c', { expression: 'SELECT id, 2 AS origin FROM items' }),
    ],
  ],
  ...[[], ['k'], ['l'], ['k', 'l']].map((names): [string, TestView[], TestView[]] => [
    `a schema, with the indexes ${names.join(', ')} in the place of k and m, beside a changed view`,
    [view('a', { indexes: [byId('k'), byOrigin('m')] }), indexed('c', 'l')],
    [
      view('a', {
        schema: 'Far away',
        renamedFrom: 'public.a',
        expression: view('a').expression,
        indexes: names.map((name) => (name === 'k' ? byOrigin(name) : byId(name))),
      }),
      indexed('c', 'm', { expression: 'SELECT id, 2 AS origin FROM items' }),
    ],
  ]),
];

/** Four views exchange their names, and their indexes exchange names differently; some views also change. */
function permutation(seed: number): (typeof RELEASES)[number] {
  const random = new Random(seed);
  const shuffled = (): string[] => {
    const left = ['a', 'b', 'c', 'd'];
    return [...left].map(() => left.splice(random.between(0, left.length - 1), 1).join());
  };
  const names = ['a', 'b', 'c', 'd'];
  const [newNames, newIndexes] = [shuffled(), shuffled()];
  const indexes = (of = ''): ViewIndexOptions[] => [
    byId(`id of ${of}`),
    byOrigin(`origin of ${of}`),
  ];
  const after = names.map((from, at) => {
    const name = newNames[at] ?? from;
    const expression = random.of([view(from).expression, `SELECT id, ${at} AS origin FROM items`]);
    const renamedFrom = name === from ? {} : { renamedFrom: from };
    return view(name, { expression, indexes: indexes(newIndexes[at]), ...renamedFrom });
  });
  return [
    `the names of four views as ${newNames.join()} and of their indexes as ${newIndexes.join()}, and changes (${seed})`,
    names.map((name) => view(name, { indexes: indexes(name) })),
    after,
  ];
}

RELEASES.push(
  ...Array.from({ length: RUNS_WHOLE_MATRIX ? 8 : 2 }, (_, at) => permutation(2026 + at)),
);

/** A sample is enough: a rebuild in place plans names the same way. */
const IN_PLACE = oneIn(4, RELEASES);

describe('names across views', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE ROLE reader_of_names');
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE TABLE items AS SELECT generate_series(1, 3) AS id');
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.query('DROP OWNED BY reader_of_names');
    await database.query('DROP ROLE reader_of_names');
    await database.drop();
  });

  async function release(views: TestView[], options: Options = {}): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    app = await bootRelease(database, views, { prune: true, ...options });
    return app.get(SchemaService);
  }

  async function views(): Promise<Record<string, unknown>> {
    const { views: all, columns, indexes } = await catalog(database);
    return { views: all, columns, indexes };
  }

  it.each(oneIn(2, RELEASES, 1))('a boot does %s in one release', async (_, before, after) => {
    await release(before);
    const schema = await release(after);
    expect(await schema.diff()).toEqual([]);
    const made = await views();
    expect((await release(after).then((again) => again.plan())).steps).toEqual([]);
    expect(await views()).toEqual(made);
    expect(
      await database.query(`SELECT relname FROM pg_class WHERE relname ~ '^mv_build'`),
    ).toEqual([]);
  });

  it.each(IN_PLACE)('and in place: %s', async (_, before, after) => {
    await release(before);
    const schema = await release(after, { rebuildStrategy: 'drop-and-create' });
    expect(await schema.diff()).toEqual([]);
    expect((await schema.plan()).steps).toEqual([]);
  });

  it.each(oneIn(2, RELEASES))('a migration does %s, and undoes it', async (_, before, after) => {
    await release(before);
    const old = await views();
    const schema = await release(after, { synchronize: 'verify' });
    const file = await schema.generateMigration({ name: 'names' });
    await runMigrations(database, file, (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
    const made = await views();
    await runMigrations(database, file, (dataSource) => dataSource.undoLastMigration());
    expect(await views()).toEqual(old);
    await runMigrations(database, file, (dataSource) => dataSource.runMigrations());
    expect(await views()).toEqual(made);
    // A boot then changes nothing.
    await release(after);
    expect(await views()).toEqual(made);
  });

  it.each(IN_PLACE)('a migration in place does %s, and undoes it', async (_, before, after) => {
    await release(before);
    const old = await views();
    const options: Options = { synchronize: 'verify', rebuildStrategy: 'drop-and-create' };
    const schema = await release(after, options);
    const file = await schema.generateMigration({ name: 'names' });
    await runMigrations(database, file, (dataSource) => dataSource.runMigrations());
    expect(await schema.diff()).toEqual([]);
    await runMigrations(database, file, (dataSource) => dataSource.undoLastMigration());
    expect(await views()).toEqual(old);
  });

  it('a view keeps its OID and everything that belongs to it, in a chain and in an exchange', async () => {
    const before = ['a', 'b', 'c', 'd'].map((name) => indexed(name, `${name}_id`));
    await release(before);
    await database.query('GRANT SELECT ON a TO reader_of_names');
    await database.query(`COMMENT ON MATERIALIZED VIEW d IS 'was d'`);
    await app?.get(RefreshService).refresh('public.a');
    const oids = await oidsByOrigin();
    const history = await runsByView();
    const renamed = [
      indexed('b', 'b_id', { renamedFrom: 'a', expression: view('a').expression }),
      indexed('e', 'e_id', { renamedFrom: 'b', expression: view('b').expression }),
      indexed('c', 'c_id', { renamedFrom: 'd', expression: view('d').expression }),
      indexed('d', 'd_id', { renamedFrom: 'c', expression: view('c').expression }),
    ];
    const indexes = await indexOids();
    for (let boots = 0; boots < 3; boots++) {
      await release(renamed);
      expect(await oidsByOrigin()).toEqual(oids);
      expect(await indexOids()).toEqual(indexes);
    }
    expect(await runsByView()).toEqual({ b: history.a, e: history.b, c: history.d, d: history.c });
    expect(
      await database.query(`SELECT has_table_privilege('reader_of_names', 'b', 'SELECT') AS may,
        has_table_privilege('reader_of_names', 'e', 'SELECT') AS other,
        obj_description('c'::regclass) AS comment`),
    ).toEqual([{ may: true, other: false, comment: 'was d' }]);
    // A later change to one of them does not exchange the names again.
    await release([
      ...renamed.slice(0, 3),
      indexed('d', 'd_id', { renamedFrom: 'c', expression: 'SELECT id, 8 AS origin FROM items' }),
    ]);
    expect(await database.query('SELECT DISTINCT origin FROM c')).toEqual([{ origin: 'd' }]);
  });

  it('names are exchanged after one was already renamed to the other', async () => {
    await release([view('a'), view('x')]);
    await release([
      view('b', { renamedFrom: 'a', expression: view('a').expression }),
      view('a', { renamedFrom: 'x', expression: view('x').expression }),
    ]);
    await database.query('GRANT SELECT ON a TO reader_of_names');
    await release([
      view('a', { renamedFrom: 'b', expression: view('a').expression }),
      view('b', { renamedFrom: 'a', expression: view('x').expression }),
    ]);
    expect(
      await database.query(`SELECT (SELECT min(origin) FROM a) AS a, (SELECT min(origin) FROM b) AS b,
        has_table_privilege('reader_of_names', 'b', 'SELECT') AS may`),
    ).toEqual([{ a: 'a', b: 'x', may: true }]);
  });

  it('a view is renamed in an exchange with another of its new name, which was dropped by hand', async () => {
    const [first, second] = [view('first').expression, view('second').expression];
    await release([view('a', { expression: first }), view('x', { expression: second })]);
    await release([
      view('b', { renamedFrom: 'a', expression: first }),
      view('a', { renamedFrom: 'x', expression: second }),
    ]);
    const { second: oid } = await oidsByOrigin();
    await database.query('DROP MATERIALIZED VIEW b');
    await release([
      view('a', { renamedFrom: 'b', expression: first }),
      view('b', { renamedFrom: 'a', expression: second }),
    ]);
    expect(await oidsByOrigin()).toMatchObject({ second: oid });
  });

  it('a view takes the name of one that was dropped by hand', async () => {
    await release([view('a'), view('b')]);
    await database.query('DROP MATERIALIZED VIEW b');
    await release([view('b', { renamedFrom: 'a', expression: view('a').expression })]);
    expect(await database.query('SELECT DISTINCT origin FROM b')).toEqual([{ origin: 'a' }]);
  });

  it('a view is renamed as another was before that now makes room', async () => {
    const first = view('a').expression;
    await release([view('a')]);
    const renamed = view('b', { renamedFrom: 'a', expression: first });
    await release([renamed]);
    await release([renamed, view('a', { expression: view('second').expression })]);
    const oids = await oidsByOrigin();
    await release([
      view('c', { renamedFrom: 'b', expression: first }),
      view('b', { renamedFrom: 'a', expression: view('second').expression }),
      view('a', { expression: view('third').expression }),
    ]);
    expect(await oidsByOrigin()).toEqual({ ...oids, third: expect.anything() as unknown });
  });

  it.each([
    ['a new view has', view('a')],
    ['another renamed view has', view('a', { renamedFrom: 'z' })],
  ])(
    'a renamed view that was dropped by hand is created anew if %s its old name',
    async (_, other) => {
      const renamed = view('b', { renamedFrom: 'a' });
      await release([view('a', { expression: renamed.expression }), view('z')]);
      await release([renamed, other]);
      const oids = await oidsByOrigin();
      await database.query('DROP MATERIALIZED VIEW b');
      await release([renamed, other]);
      expect(await oidsByOrigin()).toEqual({ ...oids, b: expect.anything() as unknown });
    },
  );

  it.each<[string, number[], Record<string, unknown>]>([
    ['not undone by an older release', [1, 2], { a: false, b: true }],
    ['exchanged again after an older release without a version', [], { a: true, b: false }],
  ])('exchanged names are %s', async (_, [older, newer], may) => {
    const old = [view('a', { version: older }), view('b', { version: older })];
    const exchanged = [
      view('a', { version: newer, renamedFrom: 'b', expression: view('b').expression }),
      view('b', { version: newer, renamedFrom: 'a', expression: view('a').expression }),
    ];
    await release(old);
    await database.query('GRANT SELECT ON a TO reader_of_names');
    await release(exchanged);
    await release(old);
    await release(exchanged);
    expect(
      await database.query(
        `SELECT (SELECT min(origin) FROM a) AS a, (SELECT min(origin) FROM b) AS b`,
      ),
    ).toEqual([{ a: 'b', b: 'a' }]);
    expect(
      await database.query(`SELECT has_table_privilege('reader_of_names', 'a', 'SELECT') AS a,
        has_table_privilege('reader_of_names', 'b', 'SELECT') AS b`),
    ).toEqual([may]);
  });

  it.each([
    ['a table', 'CREATE TABLE k ()', 'table'],
    ['a sequence', 'CREATE SEQUENCE k', 'sequence'],
    ['an index of a table', 'CREATE INDEX k ON items (id)', 'index of "public.items"'],
    [
      'an index made by hand on another view',
      'CREATE INDEX k ON other (id)',
      'index of "public.other"',
    ],
  ])('an index is refused by name if %s has its name', async (_, statement, what) => {
    await release([view('other'), view('a')]);
    await database.query(statement);
    const before = await views();
    for (const expression of [view('a').expression, 'SELECT id, 2 AS origin FROM items']) {
      const refused = release([view('other'), indexed('a', 'k', { expression })]);
      await expect(refused).rejects.toThrow(SchemaSyncError);
      await expect(refused).rejects.toThrow(
        new RegExp(`index "k" of materialized view "public.a".*${what}`),
      );
      expect(await views()).toEqual(before);
    }
  });

  it.each([
    ['a table', 'CREATE TABLE afar.%I ()', 'table'],
    ['an index of a table', 'CREATE INDEX %I ON afar.things (id)', 'index of "afar.things"'],
    ['an index of another view', 'CREATE INDEX %I ON afar.other (id)', 'index of "afar.other"'],
  ])(
    'an index that comes along into another schema is refused by name if %s has its name',
    async (_, statement, what) => {
      await database.query('DROP SCHEMA IF EXISTS afar CASCADE; CREATE SCHEMA afar');
      await database.query('CREATE TABLE afar.things (id int)');
      const other = view('other', {
        schema: 'afar',
        expression: 'SELECT 1 AS id',
        columns: ['id'],
      });
      const moved = (index: string): TestView =>
        indexed('a', index, { schema: 'afar', renamedFrom: 'public.a' });
      await release([other, indexed('a', 'k')]);
      await database.query('CREATE INDEX hand ON a (id)');
      for (const [index, inTheWay] of [
        ['k', 'k'],
        ['k', 'hand'],
        ['k2', 'k2'],
      ] as const) {
        await database.query(statement.replace('%I', inTheWay));
        const before = await views();
        const refused = release([other, moved(index)]);
        await expect(refused).rejects.toThrow(SchemaSyncError);
        await expect(refused).rejects.toThrow(
          new RegExp(`index "${inTheWay}" of materialized view "afar.a".*${what}`),
        );
        expect(await views()).toEqual(before);
        await database.query(
          what === 'table' ? `DROP TABLE afar.${inTheWay}` : `DROP INDEX afar.${inTheWay}`,
        );
      }
      await release([other, moved('k2')]);
      expect(await views()).toMatchObject(expect.anything());
    },
  );

  it.each([
    ['a domain', 'CREATE DOMAIN a AS int'],
    ['an enum', `CREATE TYPE a AS ENUM ('x')`],
    ['an index', 'CREATE INDEX a ON items (id)'],
  ])('a view is refused by name if %s has its name', async (_, statement) => {
    await database.query(statement);
    const refused = release([view('a')]);
    await expect(refused).rejects.toThrow(SchemaSyncError);
    await expect(refused).rejects.toThrow(/Cannot create materialized view "public\.a"/);
  });

  async function oidsByOrigin(): Promise<Record<string, unknown>> {
    const rows = await database.query(`
      SELECT c.oid, (xpath('/row/origin/text()', query_to_xml(format('SELECT min(origin) AS origin FROM %I', c.relname), false, true, '')))[1]::text AS origin
      FROM pg_class c WHERE relkind = 'm'`);
    return Object.fromEntries(rows.map(({ oid, origin }) => [String(origin), oid]));
  }

  async function indexOids(): Promise<unknown> {
    return database.query(
      `SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relkind = 'm') ORDER BY 1`,
    );
  }

  async function runsByView(): Promise<Record<string, unknown>> {
    const rows = await database.query(`
      SELECT view_name, array_agg(run_id ORDER BY run_id) AS runs
      FROM materialized_views.refresh_history GROUP BY 1`);
    return Object.fromEntries(rows.map(({ view_name: name, runs }) => [String(name), runs]));
  }
});
