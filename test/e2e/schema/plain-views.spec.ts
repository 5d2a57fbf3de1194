import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DataSource } from 'typeorm';
import {
  NotMaterializedError,
  ReadOnlyViewError,
  RefreshService,
  UnmanagedDependentsError,
} from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import {
  plainViewClass,
  type TestPlainView,
  type TestView,
  viewClass,
} from '../../support/view-class.js';
import { GeneratedMigration } from './model/migration.js';

/** Its name needs quoting, but has no quotes in it: TypeORM cannot handle those. */
const open: TestPlainView = {
  schema: 'Far away',
  name: 'Open orders',
  expression: 'SELECT id, amount FROM public.orders WHERE NOT closed',
  columns: ['id', 'amount'],
  key: ['id'],
};
const OPEN = 'Far away.Open orders';
const QUOTED_OPEN = '"Far away"."Open orders"';

const totals: TestView = {
  name: 'totals',
  expression: `SELECT 1 AS id, sum(amount) AS total FROM ${QUOTED_OPEN}`,
  columns: ['id', 'total'],
  key: ['id'],
};

const plain = (change: Partial<TestPlainView> = {}): new () => Record<string, unknown> =>
  plainViewClass({ ...open, ...change });
const materialized = (view: TestView): new () => object => viewClass(view) as new () => object;
const stored = (change: Partial<TestView> = {}): new () => object =>
  materialized({ ...totals, ...change });

const GROWN = { expression: `SELECT id, amount, note FROM public.orders WHERE NOT closed` };
const FEWER = {
  expression: 'SELECT id FROM public.orders WHERE NOT closed',
  columns: ['id'],
};

describe('plain views (features.md, row 13)', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE');
    await database.query('CREATE SCHEMA public');
    await database.query(
      'CREATE TABLE orders (id int PRIMARY KEY, amount int, note text, closed bool DEFAULT false)',
    );
    await database.query(`INSERT INTO orders SELECT n, n, 'note' FROM generate_series(1, 3) n`);
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.drop();
  });

  const outcomes = (): unknown =>
    Object.fromEntries(
      releases.reports.flatMap(({ views }) => views.map(({ view, outcome }) => [view, outcome])),
    );

  async function oids(): Promise<unknown> {
    return database.query(
      `SELECT oid::regclass::text AS name, oid::int FROM pg_class WHERE relkind IN ('m', 'v') AND relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
  }

  const rowsOf = (name: string): Promise<unknown[]> =>
    database.query(`SELECT * FROM ${name} ORDER BY 1`);

  describe('a declared one', () => {
    it('is created, remembered, read and written through its repository, and not refreshed', async () => {
      const Open = plain({ checkOption: 'local', securityBarrier: true, comment: 'open' });
      const Totals = stored();
      const schema = await releases.start([Totals, Open]);
      expect(await schema.diff()).toEqual([]);
      expect(await schema.order()).toEqual([OPEN, 'public.totals']);
      expect(await schema.inspect({ schema: 'Far away' })).toMatchObject([
        { view: OPEN, kind: 'view', isManaged: true, comment: 'open' },
      ]);
      const [{ reloptions } = {}] = await database.query(
        `SELECT reloptions FROM pg_class WHERE oid = '${QUOTED_OPEN}'::regclass`,
      );
      expect(reloptions).toEqual(
        expect.arrayContaining(['check_option=local', 'security_barrier=true']),
      );

      const { manager } = releases.get(DataSource);
      const repository = manager.getRepository(Open);
      await repository.insert({ id: 4, amount: 40 });
      await repository.update({ id: 1 }, { amount: 10 });
      await repository.delete({ id: 2 });
      expect(await repository.find({ order: { id: 'ASC' } })).toMatchObject([
        { id: 1, amount: 10 },
        { id: 3, amount: 3 },
        { id: 4, amount: 40 },
      ]);
      await expect(manager.getRepository(Totals).delete({})).rejects.toThrow(ReadOnlyViewError);

      const refreshes = releases.get(RefreshService);
      await expect(refreshes.refresh(Open)).rejects.toThrow(NotMaterializedError);
      await expect(refreshes.refreshMany([Totals, OPEN])).rejects.toThrow('is a plain view');
      await expect(refreshes.status(Open)).rejects.toThrow(NotMaterializedError);
      expect((await refreshes.refreshAll()).views).toMatchObject([{ view: 'public.totals' }]);
      expect(await refreshes.statusAll()).toMatchObject([{ view: 'public.totals' }]);
      expect(await rowsOf('totals')).toEqual([{ id: 1, total: '53' }]);

      await releases.start([Totals, Open]);
      expect(outcomes()).toEqual({ [OPEN]: 'unchanged', 'public.totals': 'unchanged' });
    });

    it('keeps undeclared parameters, and loses those declared as false', async () => {
      await releases.start([plain({ checkOption: 'cascaded' })]);
      await database.query(`ALTER VIEW ${QUOTED_OPEN} SET (security_barrier = true)`);
      const schema = await releases.start([plain({ checkOption: false })], { synchronize: false });
      expect(await schema.diff()).toMatchObject([{ view: OPEN, kind: 'storage' }]);
      const before = await catalog(database);
      const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await migration.run('up');
      expect(await schema.diff()).toEqual([]);
      expect((await catalog(database)).views).toMatchObject([
        { reloptions: ['security_barrier=true'] },
      ]);
      await migration.run('down');
      expect(await catalog(database)).toEqual(before);
    });

    it('has on the way back of a migration what it declares as false and somebody has set meanwhile', async () => {
      const declared: Partial<TestPlainView> = { securityBarrier: false, checkOption: false };
      await releases.start([plain(declared)]);
      const schema = await releases.start([plain({ ...declared, ...FEWER })], {
        synchronize: false,
      });
      const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await database.query(
        `ALTER VIEW ${QUOTED_OPEN} SET (security_barrier = true, check_option = local)`,
      );
      const before = await catalog(database);
      await migration.run('up');
      await migration.run('down');
      expect(await catalog(database)).toEqual(before);
    });

    it('gets a check option together with the query that bears it, and loses both on the way back', async () => {
      const distinct = { expression: 'SELECT DISTINCT id, amount FROM public.orders' };
      const releaseOf = (change: Partial<TestPlainView>): (new () => object)[] => [
        plain({ checkOption: false, ...change }),
        stored(),
      ];
      for (const [before, after] of [
        [distinct, { checkOption: 'local' as const }],
        [{ checkOption: 'local' as const }, distinct],
      ] as const) {
        await releases.start(releaseOf(before));
        const was = await catalog(database);
        const schema = await releases.start(releaseOf(after), { synchronize: false });
        const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
        const migration = new GeneratedMigration(database, file!);
        await migration.run('up');
        expect(await schema.diff()).toEqual([]);
        const migrated = await catalog(database);
        await migration.run('down');
        expect(await catalog(database)).toEqual(was);
        await releases.start(releaseOf(after));
        expect(await catalog(database)).toEqual(migrated);
      }
    });

    it.each([
      ['replaced', 'SELECT DISTINCT id, amount FROM public.orders'],
      ['rebuilt', 'SELECT id::text AS id, count(*) AS amount FROM public.orders GROUP BY id'],
    ])('says what to do about a check option that it cannot keep: %s', async (_, expression) => {
      await releases.start([plain({ checkOption: 'local' })]);
      await expect(releases.start([plain({ expression })])).rejects.toMatchObject({
        view: OPEN,
        hint: expect.stringContaining('declare `checkOption: false`'),
      });
      const schema = await releases.start([plain({ expression, checkOption: false })]);
      expect(await schema.diff()).toEqual([]);
    });

    it('checks privileges as its reader if declared, and is refused by servers that cannot', async () => {
      const [{ version } = {}] = await database.query(
        `SELECT current_setting('server_version_num')::int AS version`,
      );
      const start = releases.start([plain({ securityInvoker: true })]);
      if (Number(version) < 150000) {
        await expect(start).rejects.toThrow('older than PostgreSQL 15');
        return;
      }
      await start;
      expect((await catalog(database)).views).toMatchObject([
        { reloptions: ['security_invoker=true'] },
      ]);
    });

    it('refuses indexes', async () => {
      const { Index } = await import('typeorm');
      const Open = plain();
      Index('by_amount', ['amount'])(Open);
      await expect(releases.start([Open])).rejects.toThrow(
        '@PlainViewEntity of View of Open orders: expected no index',
      );
    });
  });

  describe('a changed definition', () => {
    const belongings = `
      GRANT SELECT, UPDATE (amount) ON ${QUOTED_OPEN} TO PUBLIC;
      COMMENT ON COLUMN ${QUOTED_OPEN}.amount IS 'what it costs';
      ALTER VIEW ${QUOTED_OPEN} ALTER amount SET DEFAULT 7;
      CREATE VIEW by_hand AS SELECT id FROM ${QUOTED_OPEN}`;

    it.each([
      ['other rows', { expression: `${open.expression} AND amount > 1` }],
      ['more columns', GROWN],
    ])(
      '%s: it is replaced in place, what reads it stays, and a migration undoes it',
      async (_, change) => {
        await releases.start([plain(), stored()]);
        await database.query(belongings);
        const before = await catalog(database);
        const ids = await oids();
        const schema = await releases.start([plain(change), stored()], { synchronize: false });
        const { steps } = await schema.plan();
        expect(steps.filter(({ statements }) => statements.length > 0)).toMatchObject([
          { action: 'replace', view: OPEN, rewritesRows: false },
        ]);
        const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
        const migration = new GeneratedMigration(database, file!);
        await migration.run('up');
        expect(await oids()).toEqual(ids);
        expect(await schema.diff()).toEqual([]);
        await migration.run('down');
        expect(await catalog(database)).toEqual(before);

        await releases.start([plain(change), stored()]);
        expect(outcomes()).toEqual({ [OPEN]: 'changed', 'public.totals': 'unchanged' });
        await releases.start([plain(change), stored()]);
        expect(outcomes()).toEqual({ [OPEN]: 'unchanged', 'public.totals': 'unchanged' });
      },
    );

    it.each([
      ['that is replaced', { expression: `${open.expression} AND amount > 1` }, '5'],
      ['that grows', { expression: `${GROWN.expression} AND amount > 1` }, '5'],
    ])('%s: views above it without data are filled by the new one', async (_, change, total) => {
      const second = { ...totals, name: 'second', expression: 'SELECT id, total FROM totals' };
      const emptyTotals = stored({ withData: false });
      // Its old definition can't run, because it reads a view without data.
      const broken = {
        expression: `SELECT id, amount FROM public.orders WHERE NOT closed AND id IN (SELECT id FROM public.source)`,
      };
      const source = { name: 'source', expression: 'SELECT 1 AS id', withData: false };
      const before = [
        plain(broken),
        emptyTotals,
        materialized({ ...second, withData: false }),
        materialized(source),
      ];
      await releases.start(before);
      const state = await catalog(database);
      const after = [plain(change), stored(), materialized(second), materialized(source)];
      const schema = await releases.start(after, { synchronize: false });
      const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await migration.run('up');
      expect(await schema.diff()).toEqual([]);
      expect(await rowsOf('second')).toEqual([{ id: 1, total }]);
      await migration.run('down');
      expect(await catalog(database)).toEqual(state);
      await releases.start(after);
      expect(await rowsOf('second')).toEqual([{ id: 1, total }]);
    });

    it('that PostgreSQL does not replace is rebuilt with what reads it, and keeps grants', async () => {
      await releases.start([plain(), stored()]);
      await database.query(
        `GRANT SELECT ON ${QUOTED_OPEN} TO PUBLIC; COMMENT ON COLUMN ${QUOTED_OPEN}.id IS 'the key'`,
      );
      const before = await catalog(database);
      const above = { expression: `SELECT 1 AS id, count(*) AS total FROM ${QUOTED_OPEN}` };
      const declared = [plain(FEWER), stored(above)];
      const schema = await releases.start(declared, { synchronize: false });
      const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await migration.run('up');
      expect(await schema.diff()).toEqual([]);
      expect(await rowsOf('totals')).toEqual([{ id: 1, total: '3' }]);
      await migration.run('down');
      expect(await catalog(database)).toEqual(before);
    });

    it('keeps its triggers if it is replaced, and is refused by their names if it would be rebuilt', async () => {
      await releases.start([plain()]);
      await database.query(`
        CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
        CREATE TRIGGER guard INSTEAD OF INSERT ON ${QUOTED_OPEN} FOR EACH ROW EXECUTE FUNCTION nothing()`);
      await expect(releases.start([plain(FEWER)])).rejects.toThrow(UnmanagedDependentsError);
      const schema = await releases.start([plain(GROWN)], { synchronize: false });
      const file = await schema.generateMigration({ name: 'any', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await migration.run('up');
      expect(await database.query(`SELECT tgname FROM pg_trigger WHERE NOT tgisinternal`)).toEqual([
        { tgname: 'guard' },
      ]);
      await expect(migration.run('down')).rejects.toThrow('trigger guard');
    });

    it('rebuilds views above with SELECT *, and those that use the new columns', async () => {
      const all = { name: 'all_open', expression: `SELECT * FROM ${QUOTED_OPEN}`, columns: ['id'] };
      await releases.start([plain(), materialized(all)]);
      await releases.start([plain(GROWN), materialized({ ...all, columns: ['id', 'note'] })]);
      expect(outcomes()).toEqual({ [OPEN]: 'changed', 'public.all_open': 'changed' });
      expect(await rowsOf('all_open')).toMatchObject([
        { note: 'note' },
        { note: 'note' },
        { note: 'note' },
      ]);
    });

    it('reads a new view, and no longer a dropped one', async () => {
      const base = { name: 'base', expression: 'SELECT * FROM public.orders', columns: ['id'] };
      const overBase = { expression: 'SELECT id, amount FROM public.base WHERE NOT closed' };
      const options: ModuleOptions = { prune: true, application: 'shop' };
      await releases.start([plain(), stored()], options);
      await releases.start([plainViewClass(base), plain(overBase), stored()], options);
      expect(
        await (
          await releases.start([plainViewClass(base), plain(overBase), stored()], options)
        ).diff(),
      ).toEqual([]);
      await releases.start([plain(), stored()], options);
      expect(await database.query(`SELECT to_regclass('base') AS base`)).toEqual([{ base: null }]);
      expect(await rowsOf('totals')).toEqual([{ id: 1, total: '6' }]);
    });

    it('moves below what it read through a dropped view', async () => {
      const prunes = { prune: true, application: 'tests' };
      const items = { name: 'items', expression: 'SELECT id, amount FROM orders', columns: ['id'] };
      const between = { name: 'between', expression: 'SELECT amount, id FROM items' };
      await releases.start(
        [
          materialized(items),
          materialized(between),
          plain({ expression: 'SELECT amount, id FROM between' }),
        ],
        prunes,
      );
      const after = [
        materialized({ ...items, expression: `SELECT id FROM ${QUOTED_OPEN}` }),
        plain(),
      ];
      const schema = await releases.start(after, prunes);
      expect(await schema.diff()).toEqual([]);
      expect(await schema.order()).toEqual([OPEN, 'public.items']);
    });

    it('makes views that track through it track its new tables at once', async () => {
      const tracked = { refresh: { on: 'sources' as const } };
      await releases.start([plain(), stored(tracked)]);
      await database.query('CREATE TABLE more (id int, amount int)');
      const union = {
        expression: `${open.expression} UNION ALL SELECT id, amount FROM public.more`,
      };
      await releases.start([plain(union), stored(tracked)]);
      await releases.get(RefreshService).refresh('public.totals');
      const changes = async (): Promise<unknown> =>
        (await releases.get(RefreshService).status('public.totals')).changes?.isUnchanged;
      expect(await changes()).toBe(true);
      await database.query('INSERT INTO more VALUES (9, 9)');
      expect(await changes()).toBe(false);
    });
  });

  it('drift when changed by hand, can be renamed and dropped, and are pruned only if not replaced by hand', async () => {
    const options: ModuleOptions = { application: 'shop' };
    await releases.start([plain()], options);
    await database.query(`CREATE OR REPLACE VIEW ${QUOTED_OPEN} AS SELECT id, amount FROM orders`);
    let schema = await releases.start([plain()], { ...options, onDrift: 'continue' });
    expect(await schema.diff()).toMatchObject([
      { view: OPEN, description: 'its definition was changed in the database' },
    ]);
    schema = await releases.start([plain({ name: 'renamed', renamedFrom: OPEN })], options);
    expect(await schema.diff()).toEqual([]);
    expect(
      await database.query(
        `SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = '"Far away"'::regnamespace`,
      ),
    ).toEqual([{ relname: 'renamed' }]);
    await database.query(
      `DROP VIEW "Far away".renamed; CREATE MATERIALIZED VIEW "Far away".renamed AS SELECT 1 AS id`,
    );
    schema = await releases.start([plain()], { ...options, prune: true });
    expect(
      await database.query(`SELECT to_regclass('"Far away".renamed') IS NULL AS gone`),
    ).toEqual([{ gone: false }]);
    await schema.drop(OPEN);
    expect(await schema.diff()).toMatchObject([{ view: OPEN, kind: 'missing' }]);
  });

  it.each(['alone', 'beside one that changes'])(
    'are dropped with a trigger made by hand %s, and a migration that drops one refuses its down',
    async (how) => {
      const prunes = { prune: true, application: 'tests' };
      const other = (expression: string): new () => object =>
        materialized({ name: 'other', expression, columns: ['id'] });
      await releases.start([plain(), other('SELECT 1 AS id')], prunes);
      await database.query(
        `CREATE FUNCTION instead() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER by_hand INSTEAD OF INSERT ON ${QUOTED_OPEN} FOR EACH ROW EXECUTE FUNCTION instead()`,
      );
      const after = other(how === 'alone' ? 'SELECT 1 AS id' : 'SELECT 2 AS id');
      const schema = await releases.start([after], { ...prunes, synchronize: false });
      const file = await schema.generateMigration({ name: 'x', language: 'js', module: 'cjs' });
      const migration = new GeneratedMigration(database, file!);
      await migration.run('up');
      expect(await schema.diff()).toEqual([]);
      const migrated = await catalog(database);
      await expect(migration.run('down')).rejects.toThrow(
        `"${OPEN}" with its trigger by_hand on view`,
      );
      expect(await catalog(database)).toEqual(migrated);
    },
  );

  it('with the query of a materialized view (liveView) show what a refresh would store, and change with it', async () => {
    const live: TestView = {
      schema: 'Far away',
      name: 'per "day"',
      expression: 'SELECT 1 AS id, sum(amount) AS total FROM public.orders',
      columns: ['id', 'total'],
      key: ['id'],
      liveView: true,
      refresh: { on: 'sources' },
    };
    const named = '"Far away"."per ""day"""';
    const liveNamed = '"Far away"."per ""day""_live"';
    await releases.start([materialized(live)]);
    await database.query('INSERT INTO orders (id, amount) VALUES (4, 4)');
    expect(await rowsOf(named)).toEqual([{ id: 1, total: '6' }]);
    expect(await rowsOf(liveNamed)).toEqual([{ id: 1, total: '10' }]);
    const refreshes = releases.get(RefreshService);
    expect(await refreshes.drift('Far away.per "day"')).toMatchObject({ isDrifted: true });
    expect((await refreshes.status('Far away.per "day"')).changes?.isUnchanged).toBe(false);
    expect((await refreshes.refreshAll()).views).toHaveLength(1);
    expect(await refreshes.drift('Far away.per "day"')).toMatchObject({ isDrifted: false });

    const changed = { ...live, expression: `${live.expression} WHERE amount > 1` };
    await releases.start([materialized(changed)]);
    expect(await rowsOf(named)).toEqual([{ id: 1, total: '9' }]);
    const renamed = { ...changed, name: 'renamed', renamedFrom: 'Far away.per "day"' };
    const schema = await releases.start([materialized(renamed)]);
    expect(await schema.order()).toEqual(['Far away.renamed_live', 'Far away.renamed']);
    expect(await schema.diff()).toEqual([]);
  });

  describe('that become materialized, and the reverse', () => {
    const belongings = `
      GRANT SELECT ON ${QUOTED_OPEN} TO PUBLIC;
      COMMENT ON VIEW ${QUOTED_OPEN} IS 'open ones';
      COMMENT ON COLUMN ${QUOTED_OPEN}.amount IS 'what it costs'`;
    const kept = async (): Promise<unknown> => {
      const { views, columns } = await catalog(database);
      return {
        views: (views as Record<string, unknown>[]).map(
          ({ name, owner, comment, acl, definition }) => ({
            name,
            owner,
            comment,
            acl,
            definition,
          }),
        ),
        columns,
      };
    };

    it.each([
      ['default parameters', {}],
      ['declared parameters', { storage: { fillfactor: 70 } }],
    ])('keep grants, owner and comments, and a migration undoes it, with %s', async (_, change) => {
      const open2: TestView = { ...open, ...change };
      const plain2 = plain({ securityBarrier: true, checkOption: 'local' });
      await releases.start([plain2, stored()]);
      await database.query(belongings);
      const asPlain = await catalog(database);
      const before = await kept();

      let schema = await releases.start([materialized(open2), stored()], { synchronize: false });
      const there = await schema.generateMigration({
        name: 'there',
        language: 'js',
        module: 'cjs',
      });
      const toMaterialized = new GeneratedMigration(database, there!);
      await toMaterialized.run('up');
      expect(await schema.diff()).toEqual([]);
      expect(await kept()).toEqual(before);
      await toMaterialized.run('down');
      expect(await catalog(database)).toEqual(asPlain);

      await releases.start([materialized(open2), stored()]);
      const asMaterialized = await catalog(database);
      expect(await kept()).toEqual(before);
      schema = await releases.start([plain2, stored()], { synchronize: false });
      const back = await schema.generateMigration({ name: 'back', language: 'js', module: 'cjs' });
      const toPlain = new GeneratedMigration(database, back!);
      await toPlain.run('up');
      expect(await schema.diff()).toEqual([]);
      expect(await catalog(database)).toEqual(asPlain);
      await toPlain.run('down');
      expect(await catalog(database)).toEqual(asMaterialized);
    });

    it('can be read all the time, even when one is replaced', async () => {
      await releases.start([plain(), stored()]);
      const reader = await database.session();
      let isDone = false;
      const reading = (async () => {
        for (; !isDone;) {
          const { rows } = await reader.query<{ count: string }>(
            `SELECT count(*) FROM ${QUOTED_OPEN} JOIN totals ON true`,
          );
          expect(rows).toEqual([{ count: '3' }]);
        }
      })();
      try {
        await releases.start([plain(GROWN), stored()]);
        await releases.start([materialized(open), stored()]);
        await releases.start([plain(), stored()]);
      } finally {
        isDone = true;
        await reading;
        await reader.end();
      }
    });

    it.each([
      ['an index', `CREATE INDEX by_hand ON ${QUOTED_OPEN} (amount)`, /new: CREATE INDEX.*by_hand/],
      [
        'a statistics target',
        `ALTER MATERIALIZED VIEW ${QUOTED_OPEN} ALTER COLUMN id SET STATISTICS 7`,
        /new: ALTER .* STATISTICS 7/,
      ],
      ['a grant', `GRANT SELECT ON ${QUOTED_OPEN} TO PUBLIC`, /new: GRANT SELECT/],
    ])('stop a migration that does not know about %s', async (_, statement, said) => {
      await releases.start([materialized(open)]);
      const schema = await releases.start([plain()], { synchronize: false });
      const file = await schema.generateMigration({ name: 'x', language: 'js', module: 'cjs' });
      await database.query(statement);
      const was = await catalog(database);
      const migration = new GeneratedMigration(database, file!);
      await expect(migration.run('up')).rejects.toThrow(said);
      expect(await catalog(database)).toEqual(was);
    });

    it('name an index made by hand that a plain view cannot have', async () => {
      await releases.start([materialized(open)]);
      await database.query(`CREATE INDEX by_hand ON ${QUOTED_OPEN} (amount)`);
      await expect(releases.start([plain()])).rejects.toThrow('it has index "by_hand"');
    });
  });
});
