import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import { RefreshService, SchemaDriftError } from '../../../lib/index.js';
import { Releases } from '../../support/releases.js';
import { LIBRARY_URL, SchemaProject, TYPEORM_URL } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';
import {
  plainViewClass,
  type TestPlainView,
  type TestView,
  viewClass,
} from '../../support/view-class.js';

const open: TestPlainView = {
  name: 'open "orders"',
  expression: 'SELECT id, amount FROM public.orders WHERE amount > 0',
  columns: ['id', 'amount'],
  key: ['id'],
};
const OPEN = 'public.open "orders"';
/** TypeORM 0.3 does not double quotes, so a view that a repository writes to has none in its name. */
const writable: TestPlainView = { ...open, name: 'open_orders' };

const plain = (change: Partial<TestPlainView> = {}): new () => Record<string, unknown> =>
  plainViewClass({ ...open, ...change });

/** A change to a view by hand, the options of its class, the statement, and the kind of difference it causes. */
const BY_HAND: [string, Partial<TestPlainView>, string, string][] = [
  ['renames a column', {}, 'RENAME COLUMN amount TO total', 'definition'],
  ['sets a barrier', { securityBarrier: false }, 'SET (security_barrier = true)', 'storage'],
  ['takes the check away', { checkOption: 'local' }, 'RESET (check_option)', 'storage'],
  ['checks otherwise', { checkOption: 'local' }, 'SET (check_option = cascaded)', 'storage'],
];

describe('plain views that others change (features.md, row 13)', () => {
  let database: TestDatabase;
  let releases: Releases;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(
      'DROP SCHEMA IF EXISTS materialized_views, public CASCADE; CREATE SCHEMA public',
    );
    await database.query('CREATE TABLE orders (id int PRIMARY KEY, amount int)');
    await database.query('INSERT INTO orders SELECT n, n FROM generate_series(1, 3) n');
    releases = new Releases(database);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.drop();
  });

  it.each(BY_HAND)(
    'are found where somebody %s, and brought back with all they have',
    async (_, declared, change, kind) => {
      await releases.start([plain(declared)]);
      await database.query(`GRANT SELECT ON "open ""orders""" TO PUBLIC`);
      await database.query(`ALTER VIEW "open ""orders""" ALTER COLUMN id SET DEFAULT 7`);
      await database.query(`ALTER VIEW "open ""orders""" ${change}`);
      await expect(releases.start([plain(declared)], { onDrift: 'fail' })).rejects.toThrow(
        SchemaDriftError,
      );
      const schema = await releases.start([plain(declared)], { onDrift: 'continue' });
      expect(await schema.diff()).toMatchObject([{ view: OPEN, kind }]);
      await expect(schema.verify()).rejects.toThrow(SchemaDriftError);
      await (await releases.start([plain(declared)])).verify();
      const [view] = await database.query(
        `SELECT relacl IS NOT NULL AS is_granted, pg_get_expr(adbin, adrelid) AS default
       FROM pg_class c JOIN pg_attrdef d ON d.adrelid = c.oid WHERE c.oid = '"open ""orders"""'::regclass`,
      );
      expect(view).toEqual({ is_granted: true, default: '7' });
    },
  );

  it.each([
    ['no option', {}, [true, true]],
    ['local', { checkOption: 'local' as const }, [false, true]],
    ['cascaded', { checkOption: 'cascaded' as const }, [false, false]],
  ])('with %s take writes through a repository as the option says', async (_, option, taken) => {
    const below = plainViewClass({
      name: 'few',
      expression: 'SELECT id, amount FROM public.orders WHERE amount < 100',
      columns: ['id', 'amount'],
    });
    const View = plainViewClass({
      ...writable,
      expression: 'SELECT id, amount FROM public.few WHERE amount > 0',
      ...option,
    });
    await releases.start([below, View]);
    const repository = releases.get(DataSource).getRepository(View);
    const isTaken = (work: Promise<unknown>): Promise<boolean> =>
      work.then(
        () => true,
        (error: { driverError?: { code?: string } }) => {
          expect(error.driverError?.code).toBe('44000');
          return false;
        },
      );
    expect([
      await isTaken(repository.insert({ id: 10, amount: -1 })),
      await isTaken(repository.insert({ id: 11, amount: 1_000 })),
    ]).toEqual(taken);
    expect([
      await isTaken(repository.update({ id: 1 }, { amount: -1 })),
      await isTaken(repository.update({ id: 2 }, { amount: 1_000 })),
    ]).toEqual(taken);
    expect((await repository.delete({ id: 3 })).affected).toBe(1);
    await repository.save({ id: 12, amount: 5 });
    expect(await repository.findOneBy({ id: 12 })).toEqual({ id: 12, amount: 5 });
  });

  it('with triggers and rules of somebody are written as these say, replaced with them, and not taken for materialized', async () => {
    const View = plainViewClass(writable);
    const made: [string, RegExp][] = [
      [
        `CREATE TRIGGER guard INSTEAD OF INSERT ON open_orders FOR EACH ROW EXECUTE FUNCTION noted()`,
        /trigger guard/,
      ],
      [`CREATE RULE kept AS ON DELETE TO open_orders DO INSTEAD NOTHING`, /rule kept/],
      [`ALTER VIEW open_orders ALTER COLUMN amount SET DEFAULT 5`, /default of column "amount"/],
    ];
    await releases.start([View]);
    await database.query(`CREATE TABLE noted (id int);
      CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted VALUES (NEW.id); RETURN NEW; END'`);
    const stored = viewClass(writable) as new () => object;
    for (const [statement, said] of made) {
      await database.query(statement);
      await expect(releases.start([stored])).rejects.toThrow(said);
      const grown = plainViewClass({
        ...writable,
        expression: `${writable.expression} AND id < ${1_000 + made.findIndex(([each]) => each === statement)}`,
      });
      await (await releases.start([grown])).verify();
      const repository = releases.get(DataSource).getRepository(grown);
      await repository.delete({ id: 1 });
      await repository.insert({ id: 50, amount: 1 }).catch(() => undefined);
      await database.query(
        statement.startsWith('ALTER')
          ? 'ALTER VIEW open_orders ALTER COLUMN amount DROP DEFAULT'
          : `${statement.replace(/^CREATE (\w+ \w+) .* (ON|TO) (?:DELETE TO )?open_orders .*$/, 'DROP $1 ON open_orders')}`,
      );
    }
    expect(await database.query('SELECT id FROM noted')).toEqual([{ id: 50 }]);
    await (await releases.start([stored])).verify();
  });

  it('check the rights of their reader or of their owner, also after changes of the option', async () => {
    const [{ version } = { version: 0 }] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    if (version < 150000) {
      await expect(releases.start([plain({ securityInvoker: true })])).rejects.toThrow(
        'PostgreSQL 15',
      );
      await (await releases.start([plain({ securityInvoker: false })])).verify();
      return;
    }
    const role = `reader_${randomBytes(4).toString('hex')}`;
    await releases.start([plain()]);
    await database.query(`CREATE ROLE ${role}; GRANT USAGE ON SCHEMA public TO ${role}`);
    await database.query(`GRANT SELECT ON "open ""orders""" TO ${role}`);
    const mayRead = async (): Promise<boolean> => {
      await database.query(`SET ROLE ${role}`);
      const read = await database.query(`SELECT id FROM "open ""orders"""`).then(
        () => true,
        () => false,
      );
      await database.query('RESET ROLE');
      return read;
    };
    try {
      for (const securityInvoker of [false, true, false, undefined]) {
        await (await releases.start([plain({ securityInvoker })])).verify();
        expect(await mayRead()).toBe(securityInvoker !== true);
      }
      // Once the view is materialized, its readers may see the stored rows.
      await releases.start([plain({ securityInvoker: true })]);
      expect(await mayRead()).toBe(false);
      await (await releases.start([viewClass(open) as new () => object])).verify();
      expect(await mayRead()).toBe(true);
    } finally {
      await releases.stop();
      await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    }
  });

  it('with the query of a materialized view come and go, and readers of that see nothing of it', async () => {
    const total: TestView = {
      name: 'total "of" all',
      expression: 'SELECT 1 AS id, sum(amount)::int AS total FROM public.orders',
      columns: ['id', 'total'],
      key: ['id'],
    };
    await releases.start([viewClass(total) as new () => object]);
    await database.query(`GRANT SELECT ON "total ""of"" all" TO PUBLIC`);
    const reader = await database.session();
    let isDone = false;
    const reading = (async () => {
      for (; !isDone;) {
        const { rows } = await reader.query(`SELECT total FROM "total ""of"" all"`);
        expect(rows).toEqual([{ total: 6 }]);
      }
    })();
    try {
      for (const liveView of [true, 'by "name"', false, true, undefined]) {
        const View = viewClass({ ...total, liveView }) as new () => object;
        const schema = await releases.start([View], { prune: true, application: 'shop' });
        expect(await schema.diff()).toEqual([]);
        const views = await database.query<{ name: string }>(
          `SELECT relname AS name FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace`,
        );
        expect(views.map(({ name }) => name)).toEqual(
          liveView === true ? ['total "of" all_live'] : liveView ? [liveView] : [],
        );
      }
    } finally {
      isDone = true;
      await reading;
      await reader.end();
    }
    expect(
      await database.query(
        `SELECT has_table_privilege('public', '"total ""of"" all"', 'SELECT') AS has`,
      ),
    ).toEqual([{ has: true }]);
    await expect(
      releases.start([
        viewClass({ ...total, liveView: open.name }),
        plain(),
      ] as (new () => object)[]),
    ).rejects.toThrow('expected its name to be unique');
  });

  it('are not refreshed by anybody, and say so', async () => {
    await releases.start([plain()]);
    const refreshes = releases.get(RefreshService);
    for (const work of [
      () => refreshes.refresh(OPEN),
      () => refreshes.history(OPEN),
      () => refreshes.pause(OPEN),
      () => refreshes.drift(OPEN),
      () => refreshes.cancel(OPEN),
      () => refreshes.refreshMany([OPEN], { cascade: 'dependents' }),
    ]) {
      await expect(work()).rejects.toMatchObject({ code: 'MV_NOT_MATERIALIZED' });
    }
    const project = await SchemaProject.create(database.url);
    try {
      await project.declare([]);
      await project.write(
        'data-source.js',
        `import typeorm from ${JSON.stringify(TYPEORM_URL)};
import { PlainViewEntity } from ${JSON.stringify(LIBRARY_URL)};
class Open {}
typeorm.ViewColumn()(Open.prototype, 'id');
typeorm.ViewColumn()(Open.prototype, 'amount');
PlainViewEntity(${JSON.stringify({ name: open.name, expression: open.expression })})(Open);
export default new typeorm.DataSource({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Open] });`,
      );
      const [list, status, check, ...refused] = await Promise.all([
        project.run('list'),
        project.run('status'),
        project.run('check'),
        ...['refresh', 'pause', 'explain'].map((command) => project.run(command, OPEN)),
      ]);
      expect(list.stdout).toContain('plain');
      expect(status.stdout).not.toContain('orders');
      expect(check).toMatchObject({ exitCode: 0 });
      for (const { exitCode, stderr } of refused) {
        expect([exitCode, stderr]).toEqual([4, expect.stringContaining('plain view')]);
      }
    } finally {
      await project.remove();
    }
  });
});
