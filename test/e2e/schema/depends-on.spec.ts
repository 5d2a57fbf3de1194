import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { DataSource } from 'typeorm';
import { RefreshService } from '../../../lib/index.js';
import { oneIn } from '../../support/matrix.js';
import { runMigrations } from '../../support/migration-runner.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const BASE = 'Far away.Base "view"';
const QUOTED_BASE = '"Far away"."Base ""view"""';
const OLD = 'SELECT id, value FROM public.items';
const NEW = 'SELECT id, upper(value) AS value FROM public.items WHERE id < 3';

const base = (expression: string, given: Partial<TestView> = {}): TestView => ({
  name: 'Base "view"',
  schema: 'Far away',
  expression,
  key: ['id'],
  ...given,
});
const reader: TestView = {
  name: 'reader',
  expression: 'SELECT id, value FROM public.of_base()',
  dependsOn: [BASE],
  key: ['id'],
};
const changedReader = { ...reader, expression: 'SELECT id, value, 1 AS one FROM public.of_base()' };
const above: TestView = { name: 'above', expression: 'SELECT id, value FROM reader' };
const second: TestView = {
  name: 'second',
  expression: 'SELECT id, value FROM public.of_reader()',
  dependsOn: ['reader'],
};

const PRUNES = { prune: true, application: 'tests' };

interface Change {
  name: string;
  before: TestView[];
  after: TestView[];
  /** Statements to run by hand between the two releases. */
  between?: string;
}

const CHANGES: Change[] = [
  {
    name: 'both change',
    before: [base(OLD), reader],
    after: [base(NEW), changedReader],
  },
  { name: 'it does not change itself', before: [base(OLD), reader], after: [base(NEW), reader] },
  {
    name: 'it is declared first',
    before: [reader, base(OLD)],
    after: [changedReader, base(NEW)],
  },
  { name: 'it is new', before: [base(OLD)], after: [base(NEW), reader] },
  {
    name: 'it is new, and the other comes under another name',
    before: [base(OLD, { name: 'early' })],
    after: [base(OLD, { renamedFrom: 'Far away.early' }), reader],
  },
  {
    name: 'it is new, and the other takes the place of a third',
    before: [base(OLD, { name: 'early', indexes: [{ name: 'moves', keys: ['id'] }] })],
    after: [
      base(OLD, { name: 'early' }),
      base(NEW, { indexes: [{ name: 'moves', keys: ['id'] }] }),
      reader,
    ],
  },
  {
    name: 'others read it',
    before: [base(OLD), reader, above],
    after: [base(NEW), reader, above],
  },
  {
    name: 'others read it in a function, and change',
    before: [base(OLD), reader, second, above],
    after: [
      base(NEW),
      reader,
      { ...second, expression: 'SELECT * FROM public.of_reader()' },
      above,
    ],
  },
  {
    name: 'the other has been emptied',
    before: [base(OLD)],
    between: `REFRESH MATERIALIZED VIEW ${QUOTED_BASE} WITH NO DATA`,
    after: [base(OLD), reader],
  },
  {
    name: 'it was read by the other before',
    before: [{ ...reader, expression: OLD, dependsOn: [] }, base('SELECT id, value FROM reader')],
    after: [base(NEW), reader],
  },
  {
    name: 'the other comes without data',
    before: [base(OLD), reader],
    after: [
      base(OLD),
      base(NEW, { name: 'empty', withData: false }),
      {
        ...reader,
        expression: `SELECT id, note AS value FROM public.of_empty() AS f(id, note)`,
        dependsOn: ['Far away.empty'],
        withData: false,
      },
    ],
  },
  {
    name: 'it reads the other no more, and both change',
    before: [base(OLD), reader, above],
    after: [base(NEW), { ...reader, expression: OLD, dependsOn: [] }, above],
  },
  {
    name: 'it reads the other no more, which comes under another name',
    before: [base(OLD), reader],
    after: [
      base(OLD, { name: 'late', renamedFrom: BASE }),
      { ...reader, expression: NEW, dependsOn: [] },
    ],
  },
  {
    name: 'all go but the last',
    before: [base(OLD), reader, second, { name: 'an item', expression: OLD }],
    after: [{ name: 'an item', expression: NEW }],
  },
  {
    name: 'all go, and make room',
    before: [base(OLD), reader, second],
    after: [{ name: 'an item', expression: OLD, indexes: [{ name: 'reader', keys: ['id'] }] }],
  },
  {
    name: 'it goes, and the other comes under another name',
    before: [base(OLD), reader, above],
    after: [base(OLD, { name: 'late', renamedFrom: BASE })],
  },
  {
    name: 'it gets its data when the other is new',
    before: [{ ...reader, dependsOn: [], withData: false }],
    after: [base(NEW), reader],
  },
  {
    name: 'it gets its data when the other changes',
    before: [base(OLD), { ...reader, withData: false }],
    after: [base(NEW), reader],
  },
  {
    name: 'it gets its data when the other comes under another name',
    before: [base(OLD, { name: 'early' }), { ...reader, dependsOn: [], withData: false }],
    after: [base(OLD, { renamedFrom: 'Far away.early' }), reader],
  },
  {
    name: 'it has no data',
    before: [base(OLD), { ...reader, withData: false }],
    after: [base(NEW), { ...changedReader, withData: false }],
  },
];

describe('a view that depends on another through a function', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE items (id int, value text);
      INSERT INTO items VALUES (1, 'one'), (2, 'two'), (3, 'three');
      CREATE FUNCTION of_base() RETURNS TABLE (id int, value text) LANGUAGE plpgsql STABLE
      AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT id, value::text FROM ${QUOTED_BASE}'; END $$;
      CREATE FUNCTION of_empty() RETURNS TABLE (id int, value text) LANGUAGE plpgsql STABLE
      AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT id, value::text FROM "Far away".empty'; END $$;
      CREATE FUNCTION of_reader() RETURNS TABLE (id int, value text) LANGUAGE plpgsql STABLE
      AS $$ BEGIN RETURN QUERY EXECUTE 'SELECT id, value FROM public.reader'; END $$`);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.drop();
  });

  /** Every view has the rows of its query; one declared without data is not populated. */
  async function expectRight(views: TestView[]): Promise<void> {
    for (const { name = '', schema = 'public', withData } of views) {
      const drift = releases.get(RefreshService).drift(`${schema}.${name}`);
      if (withData === false) {
        await expect(drift).rejects.toMatchObject({ code: 'MV_VIEW_NOT_POPULATED' });
      } else {
        expect(await drift).toMatchObject({ missingCount: 0, extraCount: 0 });
      }
    }
  }

  const strategies = [
    ['side-by-side', 0],
    ['drop-and-create', 1],
  ] as const;

  describe.each(strategies)('%s', (rebuildStrategy, at) => {
    it.each(oneIn(2, CHANGES, at))(
      'reads the future state if $name',
      async ({ before, after, between }) => {
        await releases.start(before, PRUNES);
        await database.query(between ?? '');
        const schema = await releases.start(after, { rebuildStrategy, ...PRUNES });
        expect(await schema.diff()).toEqual([]);
        await expectRight(after);
      },
    );

    it('reads the future state if the database has a newer version of it', async () => {
      const newer = { ...changedReader, version: 2 };
      await releases.start([base(OLD), newer, above]);
      const old = { ...reader, version: 1 };
      await releases.start([base(NEW), old, above], { rebuildStrategy });
      await expectRight([base(NEW), newer, above]);
      const [found] = await database.query('SELECT * FROM reader LIMIT 1');
      expect(found).toHaveProperty('one');
    });

    it.each(
      oneIn(
        2,
        CHANGES.filter(({ between }) => between === undefined),
        1 - at,
      ),
    )('and in a migration and its way back where $name', async ({ before, after }) => {
      await releases.start(before, PRUNES);
      const schema = await releases.start(after, { ...PRUNES, synchronize: false });
      const file = await schema.generateMigration({ name: 'Change', rebuildStrategy });
      await runMigrations(database, file, async (dataSource: DataSource) => {
        await dataSource.runMigrations();
        expect(await schema.diff()).toEqual([]);
        await expectRight(after);
        await dataSource.undoLastMigration();
      });
      await releases.start(before, { synchronize: false });
      await expectRight(before);
    });
  });

  it.each([
    ['changes too', [reader], [base(NEW), { ...changedReader, version: 2 }]],
    ['is as it was', [reader], [base(NEW), reader]],
    [
      'takes the name of one that keeps it',
      [{ ...reader, dependsOn: [] }],
      [
        base(NEW),
        { name: 'other', expression: OLD, renamedFrom: 'reader' },
        { ...changedReader, renamedFrom: 'missing' },
      ],
    ],
  ])('is left by policies that only make what is missing where it %s', async (_, before, after) => {
    const oidOf = (): Promise<unknown> =>
      database.query(`SELECT oid::int, relfilenode::int FROM pg_class WHERE relname = 'reader'`);
    for (const options of [
      { synchronize: 'create' as const },
      { synchronize: true, onDrift: 'continue' as const },
    ]) {
      await releases.start([base(OLD), ...before]);
      await database.query(`DROP MATERIALIZED VIEW ${QUOTED_BASE}`);
      const was = await oidOf();
      await releases.start(after, options);
      expect(await oidOf()).toEqual(was);
      expect(
        await database.query(`SELECT to_regclass('${QUOTED_BASE}') IS NULL AS missing`),
      ).toEqual([{ missing: false }]);
      await database.query('DROP MATERIALIZED VIEW reader');
    }
  });

  it('comes back after it from alterTable', async () => {
    // Sorts before the view that it reads.
    const early: TestView = {
      ...reader,
      name: 'an early reader',
      expression: 'SELECT i.id, f.value FROM public.items i JOIN public.of_base() f USING (id)',
    };
    const schema = await releases.start([base(OLD), early]);
    await schema.alterTable('items', (runner) =>
      runner.query('ALTER TABLE items ALTER value TYPE varchar(10)'),
    );
    await expectRight([base(OLD), early]);
  });

  it('has a success in its history', async () => {
    await releases.start([base(OLD), reader]);
    await releases.start([base(NEW), reader]);
    const [last] = await releases.get(RefreshService).history('public.reader');
    expect(last).toMatchObject({ trigger: 'sync', outcome: 'refreshed' });
  });
});
