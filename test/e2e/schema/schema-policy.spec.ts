import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SchemaDriftError, SchemaSyncError } from '../../../lib/index.js';
import { oneIn } from '../../support/matrix.js';
import { catalog } from '../../support/catalog.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const base: TestView = {
  name: 'Base "view"',
  schema: 'Far away',
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
};
const above: TestView = {
  name: 'above',
  expression: 'SELECT * FROM "Far away"."Base ""view"""',
};

/** Releases that change the columns of `above` without changing its own text. */
const BELOW: [string, string, Pick<TestView, 'indexes'>][] = [
  [
    'a column that is another type below, under an expression',
    'SELECT id, amount AS note FROM public.orders',
    { indexes: [{ name: 'above_i', keys: [{ expression: 'abs(note)' }] }] },
  ],
  [
    'an operator class for the new type',
    'SELECT id, amount::text AS note, amount FROM public.orders',
    {
      indexes: [
        { name: 'above_i', keys: [{ property: 'id' }, { expression: 'amount::text' }] },
        { name: 'above_o', keys: [{ expression: '(amount)', operatorClass: 'int4_ops' }] },
      ],
    },
  ],
  [
    'GIN over what was text',
    'SELECT id, ARRAY[note] AS note FROM public.orders',
    { indexes: [{ name: 'above_i', method: 'gin', keys: [{ expression: 'note' }] }] },
  ],
  [
    'a new column that SELECT * brings',
    'SELECT id, note, amount FROM public.orders',
    { indexes: [{ name: 'above_i', unique: true, keys: [{ expression: 'amount + 0' }] }] },
  ],
  [
    'a predicate over a new column',
    'SELECT id, note, amount FROM public.orders',
    { indexes: [{ name: 'above_i', keys: ['id'], where: 'amount > 0' }] },
  ],
  [
    'a function of the user over the new type',
    'SELECT id, amount AS note FROM public.orders',
    { indexes: [{ name: 'above_i', keys: [{ expression: 'twice(note)' }] }] },
  ],
];

describe('what a policy allows', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE TABLE orders (id int, note text, amount int)');
    await database.query(`INSERT INTO orders VALUES (1, 'one', 10), (2, 'two', 20)`);
    await database.query(
      'CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT $1 * 2 $$',
    );
  });

  afterEach(() => releases.stop());

  afterAll(async () => {
    await releases.end();
    await database.drop();
  });

  const indexesOf = async (view: string): Promise<string[]> => {
    const rows = await database.query<{ indexname: string }>(
      'SELECT indexname FROM pg_indexes WHERE tablename = $1 ORDER BY 1',
      [view],
    );
    return rows.map(({ indexname }) => indexname);
  };

  describe.each([
    ['missing before', {}],
    ['of the same name before', { indexes: [{ name: 'above_i', keys: ['id'] }] }],
  ])('an index %s', (_, before: Pick<TestView, 'indexes'>) => {
    it.each(oneIn(2, BELOW))(
      'is created if only the sources change: %s',
      async (__, expression, indexes) => {
        await releases.start([base, { ...above, ...before }]);
        const views = [
          { ...base, expression },
          { ...above, ...indexes },
        ];
        const schema = await releases.start(views);
        expect(await indexesOf('above')).toEqual(indexes.indexes?.map(({ name }) => name));
        expect(await schema.diff()).toEqual([]);
        expect((await schema.plan()).steps).toEqual([]);
      },
    );

    it.each(oneIn(2, BELOW, 1))(
      "is left under 'create', with a warning: %s",
      async (__, expression, indexes) => {
        await releases.start([base, { ...above, ...before }]);
        const was = await catalog(database);
        await releases.start(
          [
            { ...base, expression },
            { ...above, ...indexes },
          ],
          { synchronize: 'create' },
        );
        const made = indexes.indexes?.map(({ name }) => name) ?? [];
        const report = new Map(releases.reports[0]?.views.map((each) => [each.view, each]));
        expect(report.get('Far away.Base "view"')).toMatchObject({ outcome: 'skipped' });
        expect(report.get('public.above')?.outcome).toBe('skipped');
        expect(releases.warnings.join('\n')).toContain('its definition changed');
        expect(releases.warnings.join('\n')).toContain(`index "${made.at(-1) ?? ''}"`);
        expect((await catalog(database)).views).toEqual(was.views);
      },
    );
  });

  it("with 'create', adds no index to a view whose definition is left, and reports both", async () => {
    await releases.start([base]);
    const was = await catalog(database);
    const changed: TestView = {
      ...base,
      expression: 'SELECT id, note, amount FROM public.orders',
      columns: ['id', 'note', 'amount'],
      indexes: [
        { name: 'on_old', keys: ['id'] },
        { name: 'on_new', keys: ['amount'] },
      ],
    };
    await releases.start([changed], { synchronize: 'create' });
    expect(await catalog(database)).toEqual(was);
    expect(releases.reports[0]?.views).toEqual([
      {
        view: 'Far away.Base "view"',
        outcome: 'skipped',
        reason: 'its definition changed, index "on_old" is missing, index "on_new" is missing',
      },
    ]);
  });

  it('reports what was left of a partly changed view', async () => {
    await releases.start([base]);
    await releases.start([{ ...base, comment: 'new', indexes: [{ name: 'more', keys: ['id'] }] }], {
      synchronize: 'create',
    });
    expect(await indexesOf('Base "view"')).toEqual(['more']);
    expect(releases.reports[0]?.views).toEqual([
      {
        view: 'Far away.Base "view"',
        outcome: 'skipped',
        reason: 'its comment changed. What was done: Index "more" is missing',
      },
    ]);
    expect(releases.warnings.join('\n')).toMatch(/was left as it is: its comment changed/);
  });

  it('fails for an index that fits no definition, and names it', async () => {
    await releases.start([base]);
    await expect(
      releases.start([
        { ...base, indexes: [{ name: 'wrong', keys: [{ expression: 'gone + 1' }] }] },
      ]),
    ).rejects.toThrow(/"Far away\.Base "view"".*\(Index "wrong" is missing\).*42703/);
  });

  describe('a new view that needs a change below', () => {
    const changed: TestView = {
      ...base,
      expression: 'SELECT id, note, amount FROM public.orders',
      columns: ['id', 'note', 'amount'],
    };
    const NEW: [string, TestView[]][] = [
      ['reads a new column', [{ name: 'new', expression: `SELECT amount AS id FROM ${quoted()}` }]],
      [
        'reads it through another new one, and through a plain text of the old one',
        [
          { name: 'a_new', expression: 'SELECT id FROM b_new' },
          { name: 'b_new', expression: `SELECT amount AS id FROM ${quoted()}` },
        ],
      ],
      [
        'reads it above an old one',
        [{ name: 'new', expression: 'SELECT amount AS id FROM above' }],
      ],
      [
        'needs the new type',
        [{ name: 'new', expression: `SELECT abs(amount) + id AS id FROM ${quoted()}` }],
      ],
    ];
    const LEAVING: ModuleOptions[] = [
      { synchronize: 'create' },
      { synchronize: true, onDrift: 'continue' },
    ];

    it.each(NEW)(
      'is left out with a reason while that change is not allowed: %s',
      async (_, added) => {
        for (const policy of LEAVING) {
          await releases.start([base, above]);
          const was = await catalog(database);
          await releases.start([changed, above, ...added], policy);
          expect(await catalog(database)).toEqual(was);
          const skipped = releases.reports[0]?.views.filter(({ outcome }) => outcome === 'skipped');
          expect(skipped?.map(({ view }) => view)).toEqual([
            'Far away.Base "view"',
            ...added.map(({ name }) => `public.${name}`),
          ]);
          for (const { name } of added) {
            expect(releases.warnings.join('\n')).toMatch(
              new RegExp(
                `"public\\.${name}".*cannot be created while "Far away.Base "view"" is left`,
              ),
            );
          }
        }
      },
    );

    it.each(NEW)('has the drift error if drift is an error: %s', async (_, added) => {
      await releases.start([base, above]);
      const failure = await releases
        .start([changed, above, ...added], { synchronize: 'create', onDrift: 'fail' })
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SchemaDriftError);
      expect(String(failure)).toContain('"Far away.Base "view"": its definition changed');
    });

    it.each(NEW)('is created with that change if allowed: %s', async (_, added) => {
      await releases.start([base, above]);
      const schema = await releases.start([changed, above, ...added]);
      expect(await schema.diff()).toEqual([]);
    });

    it.each(LEAVING)('fails for its own error: %p', async (policy) => {
      await releases.start([base]);
      const wrong = { name: 'new', expression: `SELECT nothing AS id FROM ${quoted()}` };
      const failure = await releases
        .start([changed, wrong], policy)
        .catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(SchemaSyncError);
      expect(String(failure)).toMatch(/"public\.new".*42703/);
    });
  });
});

function quoted(): string {
  return '"Far away"."Base ""view"""';
}
