import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { MaterializedViewsModule, RefreshService, SchemaService } from '../../../lib/index.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

/** Regressions found by the model in `schema-model`. */
describe('one release after another', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
       CREATE SCHEMA public;
       CREATE TABLE items AS SELECT generate_series(1, 20) AS id`,
    );
  });

  afterEach(close);

  afterAll(async () => {
    await database.drop();
  });

  async function close(): Promise<void> {
    await app?.close();
    app = undefined;
  }

  async function release(views: TestView[], prune = false): Promise<SchemaService> {
    await close();
    const entities = views.map(viewClass);
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: entities as (new () => object)[] }),
      MaterializedViewsModule.forRoot({ scheduling: false, prune }),
    );
    return app.get(SchemaService);
  }

  /** The existing materialized views with the names of their indexes. */
  async function found(): Promise<Map<string, { definition: string; indexes: string[] }>> {
    const rows = await database.query<{ name: string; definition: string; indexes: string[] }>(`
      SELECT nspname || '.' || relname AS name, pg_get_viewdef(c.oid) AS definition,
             ARRAY(SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = c.oid) AS indexes
      FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'm'`);
    return new Map(rows.map(({ name, ...row }) => [name, row]));
  }

  const first: TestView = { name: 'alpha', expression: 'SELECT id FROM items' };
  const above: TestView = { name: 'above', expression: 'SELECT id FROM alpha' };
  const changed: TestView = { ...first, expression: 'SELECT id FROM items WHERE id > 5' };

  const isSettled = async (schema: SchemaService): Promise<void> => {
    expect(await schema.diff()).toEqual([]);
  };

  it('an index that is no longer declared is dropped with a changed definition', async () => {
    await release([{ ...first, indexes: [{ name: 'alpha_id', keys: ['id'] }] }]);
    await isSettled(await release([changed]));
    expect((await found()).get('public.alpha')?.indexes).toEqual([]);
  });

  it('an index that is no longer declared is dropped from a view above a changed one', async () => {
    await release([first, { ...above, indexes: [{ name: 'above_id', keys: ['id'] }] }]);
    await isSettled(await release([changed, above]));
    expect((await found()).get('public.above')?.indexes).toEqual([]);
  });

  it('a view moves to a schema in which its old name is taken', async () => {
    await release([first, { ...changed, schema: 'Far away' }]);
    await isSettled(
      await release([
        first,
        { ...changed, name: 'beta', schema: 'public', renamedFrom: 'Far away.alpha' },
      ]),
    );
  });

  it('a view moves out of a schema in which its new name is taken', async () => {
    const beta = { ...changed, name: 'beta' };
    await release([first, beta]);
    await isSettled(
      await release([
        beta,
        { ...first, name: 'beta', schema: 'Far away', renamedFrom: 'public.alpha' },
      ]),
    );
  });

  it('a view takes the name of one that was dropped by hand', async () => {
    await release([first, { ...first, name: 'beta' }]);
    await database.query('DROP MATERIALIZED VIEW beta');
    await isSettled(await release([{ ...first, name: 'beta', renamedFrom: 'alpha' }]));
  });

  const view = (name: string, given: Partial<TestView> = {}): TestView => ({
    name,
    expression: 'SELECT id FROM items',
    ...given,
  });

  async function oids(): Promise<Record<string, number>> {
    const rows = await database.query<{ name: string; oid: number }>(
      `SELECT relname AS name, oid FROM pg_class WHERE relkind = 'm'`,
    );
    return Object.fromEntries(rows.map(({ name, oid }) => [name, oid]));
  }

  it('views are renamed again after they were dropped by hand and an older release made them', async () => {
    const old = [view('a'), view('b')];
    const renamed = [view('b', { renamedFrom: 'a' }), view('c', { renamedFrom: 'b' })];
    await release(old);
    await release(renamed);
    await database.query('DROP MATERIALIZED VIEW b; DROP MATERIALIZED VIEW c');
    await release(old);
    const { a, b } = await oids();
    await isSettled(await release(renamed));
    expect(await oids()).toEqual({ b: a, c: b });
  });

  it('a view renamed by hand stays paused if a view with its new name was forgotten', async () => {
    await release([view('a'), view('b')]);
    await database.query('DROP MATERIALIZED VIEW b');
    await release([view('a')]);
    await app?.get(RefreshService).pause('public.a');
    await database.query('ALTER MATERIALIZED VIEW a RENAME TO b');
    await release([view('b', { renamedFrom: 'a' })]);
    expect(
      await database.query(
        'SELECT view_name AS name, paused_at IS NULL AS runs FROM materialized_views.view_state',
      ),
    ).toEqual([{ name: 'b', runs: false }]);
  });

  it('unpopulated views are filled from below', async () => {
    const empty = [above, first].map((view) => ({ ...view, withData: false }));
    await release(empty);
    await isSettled(await release([above, first]));
  });

  it('a new view reads one that is being filled', async () => {
    await release([{ ...first, withData: false }]);
    await isSettled(await release([above, first]));
  });

  it('a changed view reads one that is being filled', async () => {
    await release([first, above]);
    await database.query('REFRESH MATERIALIZED VIEW alpha WITH NO DATA');
    await isSettled(
      await release([first, { ...above, expression: 'SELECT id FROM alpha WHERE id > 5' }]),
    );
  });

  it.each([[[first, above]], [[above, first]]])(
    'orphans that read each other are pruned, whichever was declared first',
    async (views) => {
      await release(views);
      await isSettled(await release([], true));
      expect((await found()).size).toBe(0);
    },
  );

  it('an orphan that reads a changed view is pruned', async () => {
    await release([first, above]);
    await isSettled(await release([changed], true));
    expect([...(await found()).keys()]).toEqual(['public.alpha']);
  });

  it('an older release does not undo a newer view by changing one below it', async () => {
    const newer = { ...above, expression: 'SELECT id, 2 AS two FROM alpha', version: 2 };
    await release([first, newer]);
    await release([changed, { ...above, version: 1 }]);
    expect((await found()).get('public.above')?.definition).toContain('two');
  });
});
