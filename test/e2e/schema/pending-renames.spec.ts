import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SchemaDriftError } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import { plainViewClass, type TestView, viewClass } from '../../support/view-class.js';

const OLD: TestView = {
  name: 'Old "view"',
  schema: 'Far away',
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
};
const NEW: TestView = { ...OLD, name: 'new', schema: 'public', renamedFrom: 'Far away.Old "view"' };
const STILL = 'it is still "Far away.Old "view""';

const KINDS = [
  ['materialized', viewClass],
  ['plain', plainViewClass],
] as const;

const LEAVING: ModuleOptions[] = [
  { synchronize: 'create' },
  { synchronize: true, onDrift: 'continue' },
  { synchronize: 'verify' },
];

describe('a view that should be renamed', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
       CREATE SCHEMA public;
       CREATE TABLE orders (id int, note text);
       INSERT INTO orders VALUES (1, 'one'), (2, 'two')`,
    );
  });

  afterEach(() => releases.stop());

  afterAll(async () => {
    await releases.end();
    await database.drop();
  });

  const outcomes = (): unknown =>
    releases.reports.at(-1)?.views.map(({ view, outcome, reason }) => [view, outcome, reason]);

  describe.each(KINDS)('%s', (_, given) => {
    const classOf = given as (view: TestView) => new () => object;

    it.each(LEAVING)('keeps its name and everything that it has with %j', async (options) => {
      await releases.start([classOf(OLD)]);
      await database.query('GRANT SELECT ON "Far away"."Old ""view""" TO PUBLIC');
      const was = await catalog(database);
      await releases.start([classOf(NEW)], options);
      expect(await catalog(database)).toEqual(was);
      expect(outcomes()).toEqual([['public.new', 'skipped', STILL]]);
      expect(releases.warnings.join('\n')).toContain(
        `"public.new" is not as declared, and was left as it is: ${STILL}`,
      );

      // A later release still finds the view and renames it, with the grant.
      const [before] = await database.query(
        `SELECT '"Far away"."Old ""view"""'::regclass::oid AS oid`,
      );
      await releases.start([classOf(NEW)]);
      expect(
        await database.query(
          `SELECT oid, relacl::text LIKE '%=r/%' AS "isGranted" FROM pg_class WHERE relname = 'new'`,
        ),
      ).toEqual([{ ...before, isGranted: true }]);
    });

    it('keeps its name if the database has a newer version of it', async () => {
      await releases.start([classOf({ ...OLD, version: 2 })]);
      const was = await catalog(database);
      await releases.start([classOf({ ...NEW, version: 1 })]);
      expect(await catalog(database)).toEqual(was);
      expect(outcomes()).toEqual([
        [
          'public.new',
          'skipped',
          `${STILL}; the database has version 2, and this process version 1`,
        ],
      ]);
    });
  });

  it("stops a boot with onDrift: 'fail'", async () => {
    await releases.start([OLD]);
    const was = await catalog(database);
    const boot = releases.start([NEW], { synchronize: 'create', onDrift: 'fail' });
    await expect(boot).rejects.toThrow(SchemaDriftError);
    await expect(boot).rejects.toThrow(`"public.new": ${STILL}`);
    expect(await catalog(database)).toEqual(was);
  });

  it.each([
    [
      'two exchange their names',
      { name: 'one', renamedFrom: 'two' },
      { name: 'two', renamedFrom: 'one' },
    ],
    [
      'one takes the name of another',
      { name: 'two', renamedFrom: 'one' },
      { name: 'three', renamedFrom: 'two' },
    ],
  ])('keeps its name if %s, and gets no index of the other', async (_, first, second) => {
    const index = { keys: ['id'] };
    const view = { expression: OLD.expression };
    await releases.start([
      { ...view, name: 'one', indexes: [{ name: 'of one', ...index }] },
      { ...view, name: 'two', indexes: [{ name: 'of two', ...index }] },
    ]);
    const was = await catalog(database);
    const release = [
      {
        ...view,
        ...first,
        indexes: [
          { name: 'of one', ...index },
          { name: 'new', ...index },
        ],
      },
      { ...view, ...second, indexes: [{ name: 'of two', ...index }] },
    ];
    await releases.start(release, { synchronize: 'create' });
    expect(await catalog(database)).toEqual(was);
    expect(releases.reports.at(-1)?.counts).toMatchObject({ skipped: 2, orphaned: 0 });

    const schema = await releases.start(release);
    expect(await schema.diff()).toEqual([]);
  });

  it('goes on tracking what it tracked, and what reads it under the new name waits', async () => {
    const fresh = { refresh: { on: 'sources' as const } };
    const above: TestView = { name: 'above', expression: 'SELECT id FROM new' };
    await releases.start([{ ...OLD, ...fresh }]);
    const tracked = 'SELECT schema_name, view_name, capture FROM materialized_views.view_state';
    const was = [await catalog(database), await database.query(tracked)];
    await releases.start([{ ...NEW, ...fresh }, above], { synchronize: 'create' });
    expect([await catalog(database), await database.query(tracked)]).toEqual(was);
    expect(outcomes()).toEqual([
      ['public.new', 'skipped', STILL],
      [
        'public.above',
        'skipped',
        expect.stringMatching(
          /^it is missing, and cannot be created while "public.new" is left as it is \(42P01: /,
        ),
      ],
    ]);
    const schema = await releases.start([{ ...NEW, ...fresh }, above]);
    expect(await schema.diff()).toEqual([]);
  });

  it('is rebuilt under its present name if what it reads changes', async () => {
    const below: TestView = { name: 'below', expression: 'SELECT id, note FROM orders' };
    const old = { ...OLD, expression: 'SELECT id, note FROM public.below', version: 2 };
    await releases.start([below, old]);
    const changed = { ...below, expression: 'SELECT id, upper(note) AS note FROM orders' };
    await releases.start([changed, { ...NEW, expression: old.expression, version: 1 }]);
    expect(await database.query('SELECT note FROM "Far away"."Old ""view""" ORDER BY id')).toEqual([
      { note: 'ONE' },
      { note: 'TWO' },
    ]);
    expect(releases.reports.at(-1)?.counts).toMatchObject({ skipped: 1, failed: 0 });
  });
});
