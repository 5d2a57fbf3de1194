import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Column, Unique, ViewColumn } from 'typeorm';
import {
  InvalidDefinitionError,
  MaterializedViewEntity,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import { plainViewClass, type TestView } from '../../support/view-class.js';

const good: TestView = {
  name: 'Orders "per day"',
  schema: 'Far away',
  expression: 'SELECT day, count(*) AS orderCount FROM public.orders GROUP BY day',
  columns: ['day', 'ordercount'],
  key: ['day'],
};

/** Columns that the class maps, and what the boot's error says about them. */
const WRONG: [string, string[], string[]][] = [
  [
    'folded by PostgreSQL',
    ['day', 'orderCount'],
    ['.orderCount is mapped to column "orderCount"', 'AS "orderCount"', 'are "day", "ordercount"'],
  ],
  ['not in the query', ['day', 'total'], ['.total is mapped to column "total"', 'Add the column']],
  ['several', ['day', 'a', 'b'], ['.a is mapped', '.b is mapped']],
];

describe('declared columns and keys', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
    releases = new Releases(database);
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query('CREATE TABLE orders (id int, day text)');
    await database.query(`INSERT INTO orders VALUES (1, 'mon'), (2, 'mon'), (3, 'tue')`);
  });

  afterEach(() => releases.stop());

  afterAll(async () => {
    await releases.end();
    await database.drop();
  });

  const failureOf = (views: TestView[], synchronize: boolean | 'create' | 'verify' = true) =>
    releases.start(views, { synchronize }).then(
      () => 'it booted',
      (error: unknown) => error,
    );

  describe.each(WRONG)('%s', (_, columns, said) => {
    const wrong = { ...good, columns };

    const expectRefusal = (failure: unknown): void => {
      expect(failure).toBeInstanceOf(InvalidDefinitionError);
      const { message, hint } = failure as InvalidDefinitionError;
      for (const each of [...said, 'View of Orders', 'Far away.Orders "per day"']) {
        expect(`${message} ${hint ?? ''}`).toContain(each);
      }
    };

    it('is reported before the view is created', async () => {
      expectRefusal(await failureOf([wrong]));
      expect(await database.query(`SELECT FROM pg_class WHERE relkind = 'm'`)).toEqual([]);
    });

    it.each([true, 'create', 'verify'] as const)(
      'is reported for an existing view: %p',
      async (to) => {
        await releases.start([good]);
        expectRefusal(await failureOf([wrong], to));
        await releases.start([good]);
      },
    );

    it('is reported before the view is changed, or rebuilt because of one below', async () => {
      const below = { name: 'below', expression: 'SELECT id, day FROM public.orders' };
      const above = { ...good, expression: good.expression.replace('orders', 'below') };
      await releases.start([below, above]);
      const was = await catalog(database);
      const changed = { ...below, expression: `${below.expression} WHERE id > 0` };
      expectRefusal(await failureOf([changed, { ...above, columns }]));
      expectRefusal(
        await failureOf([below, { ...wrong, expression: `${good.expression} HAVING true` }]),
      );
      expect(await catalog(database)).toEqual(was);
    });
  });

  const next = {
    ...good,
    expression: good.expression.replace('orderCount', '"orderCount"'),
    columns: ['day', 'orderCount'],
  };
  const above = ({ columns }: TestView): TestView => ({
    name: 'above',
    schema: 'Far away',
    expression: 'SELECT * FROM "Far away"."Orders ""per day"""',
    columns,
  });
  /** The classes to boot for each kind of view that the boot leaves as it is. */
  const LEFT: Record<string, (view: TestView) => Parameters<Releases['start']>[0]> = {
    'the view': (view) => [view],
    'its live view': (view) => [{ ...view, liveView: true }],
    'a view below': (view) => [view, above(view)],
    'a plain view below': (view) => [plainViewClass({ ...view, key: [] }), above(view)],
  };

  it.each(Object.keys(LEFT))('is no error of a class if %s is left as it is', async (which) => {
    const views = LEFT[which] as (typeof LEFT)[string];
    await releases.start(views(good));
    await releases.start(views(next), { synchronize: 'create' });
    expect(releases.reports[0]?.counts.skipped).toBeGreaterThan(0);
    await releases.start(views(next), { synchronize: 'verify' });
    expect(await (await releases.start(views(next), { onDrift: 'apply' })).diff()).toEqual([]);
  });

  it('makes @Unique a unique index, which is used', async () => {
    @MaterializedViewEntity({
      name: 'With "unique"',
      schema: 'Far away',
      expression: 'SELECT day, count(*) AS total, max(id) AS last FROM public.orders GROUP BY day',
    })
    @Unique('on_day', ['day'])
    @Unique(['total', 'last'])
    class WithUnique {
      @ViewColumn() day!: string;
      @ViewColumn() total!: string;
      @Column({ unique: true }) last!: number;
    }
    const schema = await releases.start([WithUnique]);
    const indexes = await database.query(
      `SELECT indexdef FROM pg_indexes WHERE tablename = 'With "unique"' ORDER BY 1`,
    );
    expect(indexes.map(({ indexdef }) => String(indexdef).replace(/.* USING/, ''))).toEqual(
      expect.arrayContaining([' btree (day)', ' btree (total, last)', ' btree (last)']),
    );
    expect(await schema.diff()).toEqual([]);
    expect(await releases.get(RefreshService).refresh(WithUnique)).toMatchObject({
      mode: 'concurrently',
    });
    expect(releases.warnings.filter((each) => each.includes('unique'))).toEqual([]);
  });

  it('refuses a deferrable @Unique', async () => {
    @MaterializedViewEntity({ name: 'deferred', expression: 'SELECT 1 AS id' })
    @Unique('later', ['id'], { deferrable: 'INITIALLY DEFERRED' })
    class Deferred {
      @ViewColumn() id!: number;
    }
    await expect(releases.start([Deferred])).rejects.toThrow(/@Unique "later" of Deferred.*deferr/);
  });

  describe('a view without a usable unique index', () => {
    const ofKeys = (): string[] =>
      releases.warnings.filter((warning) => warning.startsWith('Each refresh blocks the readers'));
    const id = { expression: 'SELECT id FROM public.orders' };
    const bare: TestView[] = [
      { ...id, name: 'None "at all"' },
      { ...id, name: 'plain', indexes: [{ name: 'i1', keys: ['id'] }] },
      {
        ...id,
        name: 'part',
        indexes: [{ name: 'i2', keys: ['id'], unique: true, where: 'id > 0' }],
      },
      {
        ...id,
        name: 'computed',
        indexes: [{ name: 'i3', keys: [{ expression: 'id + 1' }], unique: true }],
      },
    ];
    const fine: TestView[] = [
      { ...id, name: 'keyed', key: ['id'] },
      { ...id, name: 'swapped', refresh: { mode: 'swap' } },
      { ...id, name: 'blocking', refresh: { mode: 'blocking' } },
    ];

    it('causes one warning at each boot, with all others', async () => {
      for (let boot = 0; boot < 2; boot++) {
        await releases.start([...bare, ...fine]);
        expect(ofKeys()).toHaveLength(1);
        for (const { name } of bare) {
          expect(ofKeys()[0]).toContain(`"public.${name}"`);
        }
        for (const { name } of fine) {
          expect(ofKeys()[0]).not.toContain(`"public.${name}"`);
        }
      }
    });

    it('causes no warning once an index was made by hand', async () => {
      await releases.start([{ ...id, name: 'None "at all"' }]);
      expect(ofKeys()).toHaveLength(1);
      await database.query('CREATE UNIQUE INDEX by_hand ON "None ""at all""" (id)');
      await releases.start([{ ...id, name: 'None "at all"' }]);
      expect(ofKeys()).toEqual([]);
      expect(await releases.get(SchemaService).diff()).toEqual([]);
    });
  });
});
