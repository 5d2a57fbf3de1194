import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  jest,
} from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import {
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  SchemaService,
  SchemaSyncError,
} from '../../../lib/index.js';
import { syncLockKey } from '../../../lib/postgres/advisory-lock.js';
import { finishCaptures, SyncLockTaken } from '../../../lib/tracking/capture-repair.js';
import { definitionOf, managed } from '../../support/managed.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

type Options = Partial<MaterializedViewsModuleOptions>;

const fresh: TestView = {
  name: `Odd "view'`,
  schema: 'Far away',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
  key: ['id'],
  refresh: { on: 'sources', debounce: 0 },
};
const plain: TestView = { ...fresh, refresh: undefined };

describe('the capture of changes, beside other sessions', () => {
  let database: TestDatabase;
  let other: Client;
  const apps: TestingModule[] = [];
  let warn: jest.SpiedFunction<Logger['warn']>;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
       CREATE SCHEMA public; CREATE SCHEMA "Far away";
       CREATE TABLE orders (id int) PARTITION BY LIST (id);
       CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1)`,
    );
    other = await database.session();
    warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  });

  afterEach(async () => {
    await other.end();
    await Promise.all(apps.splice(0).map((app) => app.close()));
    warn.mockRestore();
  });

  afterAll(() => database.drop());

  async function start(views: TestView[], options: Options = {}): Promise<TestingModule> {
    await Promise.all(apps.splice(0).map((app) => app.close()));
    const entities = views.map(viewClass) as (new () => object)[];
    const app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities }),
      MaterializedViewsModule.forRoot({ scheduling: false, lockTimeout: 200, ...options }),
    );
    apps.push(app);
    return app;
  }

  const TRIGGERS = `SELECT tgrelid::regclass::text AS name FROM pg_trigger
    WHERE tgname LIKE 'materialized_views_capture%' AND tgenabled = 'A' GROUP BY 1 HAVING count(*) = 4 ORDER BY 1`;

  const captured = async (): Promise<string[]> =>
    (await database.query<{ name: string }>(TRIGGERS)).map(({ name }) => name);

  const warnings = (): unknown[] => warn.mock.calls.map(([message]) => message as unknown);

  /** Resolves at the given number of warnings. */
  const untilWarned = (count: number): Promise<void> =>
    new Promise((resolve) => {
      warn.mockImplementation(() => {
        if (warn.mock.calls.length >= count) {
          resolve();
        }
      });
    });

  describe('at boot', () => {
    it('is put off if a table is locked, reported, and done later, and nothing else changes', async () => {
      await database.query('CREATE TABLE items (id int)');
      await start([{ ...fresh, name: 'gone', expression: 'SELECT id FROM public.items' }]);
      await database.query('DROP MATERIALIZED VIEW "Far away".gone');
      await other.query('BEGIN; INSERT INTO orders VALUES (1)');
      const { captures } = managed(await start([fresh], { synchronize: 'create' })).tracking;
      expect(await captured()).toEqual(['items']);
      expect(await database.query(`SELECT FROM "Far away"."Odd ""view'"`)).toHaveLength(1);
      expect(warnings()).toContainEqual(
        expect.stringMatching(
          /put off: Changes of "public\.orders", "public\.orders_1" have to be captured\. .* in the background/,
        ),
      );
      await other.query('COMMIT');
      await database.until(`SELECT FROM (${TRIGGERS}) AS made WHERE name = 'orders_1'`);
      await captures.stop();
      expect(await captured()).toEqual(['items', 'orders', 'orders_1']);
    });

    it('is removed later if a reader is in the way', async () => {
      await start([fresh]);
      await other.query('BEGIN; SELECT FROM orders');
      await start([plain]);
      expect(await captured()).toEqual(['orders', 'orders_1']);
      expect(warnings()).toEqual([
        expect.stringMatching(/put off: No view needs those of "public\.orders"/),
      ]);
      await untilWarned(2);
      expect(warnings()[1]).toMatch(/Some of what the boot put off .* lock timeout; .* again/);
      await other.query('COMMIT');
      await database.until(`SELECT FROM (${TRIGGERS}) AS left_over HAVING count(*) = 0`);
    });

    it('is not removed later while another process holds the sync lock', async () => {
      await start([fresh]);
      await other.query('BEGIN; SELECT FROM orders');
      const source = managed(await start([plain]));
      await source.tracking.captures.stop();
      await other.query('SELECT pg_advisory_lock($1)', [syncLockKey()]);
      await other.query('COMMIT');
      const limits = { lockTimeoutMs: 200, statementTimeoutMs: 0 };
      const finish = (): Promise<void> =>
        source.database.transaction(limits, (session) =>
          finishCaptures(session, {
            stateSchema: 'materialized_views',
            removes: true,
            wakeUp: 'poll',
            lockTimeoutMs: limits.lockTimeoutMs,
          }),
        );
      await expect(finish()).rejects.toThrow(SyncLockTaken);
      expect(await captured()).toEqual(['orders', 'orders_1']);
      await other.query('SELECT pg_advisory_unlock($1)', [syncLockKey()]);
      await finish();
      expect(await captured()).toEqual([]);
    });

    it('fails by hand', async () => {
      await start([plain]);
      const schema = (await start([fresh], { synchronize: 'verify' })).get(SchemaService);
      const plan = await schema.plan();
      await other.query('BEGIN; INSERT INTO orders VALUES (1)');
      await expect(schema.apply(plan)).rejects.toThrow(SchemaSyncError);
      expect(await captured()).toEqual([]);
    });

    it('reports superfluous triggers', async () => {
      await start([fresh]);
      await start([plain], { synchronize: 'create' });
      await start([plain], { synchronize: 'create' });
      const idle = expect.stringMatching(
        /No class .* tracks "public\.orders", "public\.orders_1", .* SchemaService\.apply/,
      );
      expect(warnings()).toEqual([idle, idle]);
      warn.mockClear();
      await start([{ name: 'apart', expression: 'SELECT 1 AS id', refresh: { mode: 'blocking' } }]);
      expect(warnings()).toEqual([
        expect.stringMatching(/no class declares it, while writers to what it reads still pay/),
      ]);
      await start([
        { name: 'apart', expression: 'SELECT 1 AS id', refresh: { mode: 'blocking' } },
        plain,
      ]);
      expect(await captured()).toEqual([]);
    });
  });

  describe('between two boots', () => {
    it('is added to an attached partition, and restored on a table where it was disabled', async () => {
      const keeper = managed(await start([fresh], { synchronize: 'create' })).tracking.captures;
      await database.query(
        `CREATE TABLE orders_2 (id int); ALTER TABLE orders ATTACH PARTITION orders_2 FOR VALUES IN (2);
         ALTER TABLE orders_1 DISABLE TRIGGER ALL`,
      );
      keeper.maybeRepair();
      await database.until(`SELECT FROM (${TRIGGERS}) AS made HAVING count(*) = 3`);
      expect(await captured()).toEqual(['orders', 'orders_1', 'orders_2']);
      expect(warnings()).toEqual([]);
    });

    it('is added to each of several tables that are created one after the other', async () => {
      const keeper = managed(await start([fresh])).tracking.captures;
      for (const id of [2, 3, 4]) {
        await database.query(`CREATE TABLE orders_${id} PARTITION OF orders FOR VALUES IN (${id})`);
        keeper.maybeRepair();
        await database.until(`SELECT FROM (${TRIGGERS}) AS made WHERE name = 'orders_${id}'`);
      }
    });

    it.each([
      ['a view', true],
      ['a view without rows, which nothing refreshes', false],
    ])('is added by polling to parents that what %s reads gets later', async (_, withData) => {
      const expression = 'SELECT count(*)::int AS id FROM public.child';
      const inheriting = { ...fresh, withData, expression };
      await database.query(
        'CREATE TABLE child (id int); CREATE TABLE "Odd ""parent\'" (id int); CREATE TABLE grandparent (id int)',
      );
      await start([inheriting], { scheduling: true });
      for (const [child, parent] of [
        ['child', `"Odd ""parent'"`],
        [`"Odd ""parent'"`, 'grandparent'],
      ] as const) {
        await database.query(`ALTER TABLE ${child} INHERIT ${parent}`);
        await database.until(`SELECT FROM (${TRIGGERS}) AS made WHERE name = $1`, [parent]);
      }
      expect(await captured()).toEqual([`"Odd ""parent'"`, 'child', 'grandparent']);
    });

    it('is added later to a table that was locked', async () => {
      const keeper = managed(await start([fresh])).tracking.captures;
      await database.query('CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)');
      await other.query('BEGIN; LOCK TABLE ONLY orders_2 IN ROW EXCLUSIVE MODE');
      const warned = untilWarned(1);
      keeper.maybeRepair();
      await warned;
      await other.query('COMMIT');
      await database.until(`SELECT FROM (${TRIGGERS}) AS made WHERE name = 'orders_2'`);
    });

    it('leaves a locked table, and does the others', async () => {
      const keeper = managed(await start([fresh])).tracking.captures;
      await database.query(
        `CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2);
         CREATE TABLE orders_3 PARTITION OF orders FOR VALUES IN (3)`,
      );
      await other.query('BEGIN; LOCK TABLE ONLY orders_2 IN ROW EXCLUSIVE MODE');
      keeper.maybeRepair();
      await database.until(`SELECT FROM (${TRIGGERS}) AS made WHERE name = 'orders_3'`);
      await keeper.stop();
      expect(await captured()).toEqual(['orders', 'orders_1', 'orders_3']);
    });

    it('is left to the process that holds the sync lock', async () => {
      const keeper = managed(await start([fresh])).tracking.captures;
      await database.query('ALTER TABLE orders_1 DISABLE TRIGGER ALL');
      await other.query('BEGIN');
      await other.query('SELECT pg_advisory_xact_lock($1)', [syncLockKey()]);
      keeper.maybeRepair();
      await keeper.untilIdle();
      expect(await captured()).toEqual(['orders']);
    });

    it('does not come back if a newer release has removed it', async () => {
      const keeper = managed(await start([fresh])).tracking.captures;
      await database.query(
        `UPDATE materialized_views.view_state SET capture = NULL; ALTER TABLE orders_1 DISABLE TRIGGER ALL`,
      );
      keeper.maybeRepair();
      await keeper.untilIdle();
      expect(await captured()).toEqual(['orders']);
    });

    it.each<[Options['synchronize']]>([['verify'], [false]])(
      'is only warned of with synchronize: %s',
      async (synchronize) => {
        await start([fresh]);
        const keeper = managed(await start([fresh], { synchronize })).tracking.captures;
        await database.query('CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)');
        keeper.maybeRepair();
        await keeper.stop();
        expect(await captured()).toEqual(['orders', 'orders_1']);
        expect(warnings()).toEqual([
          expect.stringMatching(
            /Changes of "public\.orders_2" are not captured: .* are not skipped/,
          ),
        ]);
      },
    );
  });

  describe('with synchronize: false', () => {
    const top: TestView = {
      name: 'top',
      expression: `SELECT id FROM "Far away"."Odd ""view'"`,
      refresh: { maxStaleness: '1m', mode: 'blocking' },
    };

    it('warns once about all views that track nothing', async () => {
      await start([plain]);
      await start([fresh, { ...top, name: 'other' }], { synchronize: false });
      expect(warnings()).toEqual([
        expect.stringMatching(
          /are not set up in the database: "Far away\.Odd "view'", "public\.other"\. .* run it\.$/,
        ),
      ]);
      warn.mockClear();
      await start([fresh]);
      await start([fresh], { synchronize: false });
      expect(warnings()).toEqual([]);
    });

    it('knows the views below one with maxStaleness', async () => {
      await start([plain, top]);
      const app = await start([plain, top], { synchronize: false });
      const below = definitionOf(app, `Far away.${plain.name}`);
      expect(below.freshness).toMatchObject({ isImplied: true });
      expect(warnings()).toEqual([]);
    });

    it('boots if it cannot read the state', async () => {
      await start([fresh]);
      await other.query('BEGIN; LOCK TABLE materialized_views.view_state');
      await start([fresh], { synchronize: false, syncTimeout: 100 });
      expect(warnings()).toEqual([
        expect.stringMatching(/Could not read which changes .* lock timeout/),
      ]);
    });
  });

  it('of a view below one with maxStaleness is never in doubt while others look', async () => {
    const top: TestView = {
      name: 'top',
      expression: `SELECT id FROM "Far away"."Odd ""view'"`,
      refresh: { maxStaleness: '1m', mode: 'blocking' },
    };
    const app = await start([plain, top]);
    const view = definitionOf(app, `Far away.${plain.name}`);
    let { freshness } = view;
    const set: unknown[] = [];
    Object.defineProperty(view, 'freshness', {
      get: () => freshness,
      set: (value: typeof freshness) => {
        set.push(value);
        freshness = value;
      },
    });
    await app.get(SchemaService).diff();
    expect(set).toEqual([expect.objectContaining({ isImplied: true })]);
  });
});
