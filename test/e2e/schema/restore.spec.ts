import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { RefreshService, SchemaService } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { type ModuleOptions, Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import { plainViewClass, type TestView } from '../../support/view-class.js';
import { Dump, type DumpWay, urlFor } from './model/dump.js';

const SUBJECT = 'Far away.The "Total"';
const QUOTED = '"Far away"."The ""Total"""';

const below: TestView = {
  name: 'z below',
  expression: 'SELECT id, amount FROM items',
  key: ['id'],
  refresh: { on: 'sources' },
};
const subject: TestView = {
  schema: 'Far away',
  name: 'The "Total"',
  expression: 'SELECT sum(amount)::int AS id FROM "between views"',
  key: ['id'],
  comment: `it's "all"`,
  refresh: { on: 'sources' },
};
const VIEWS = [
  below,
  plainViewClass({ name: 'between views', expression: 'SELECT id, amount FROM "z below"' }),
  subject,
];

/** Complete dumps, including rows. */
const FULL: Record<string, DumpWay> = {
  'pg_dump and psql': { format: 'plain' },
  'pg_dump -Fc and pg_restore': { format: 'custom' },
};

/*
 * pg_dump reads servers of its own version and older. The npm packages of the servers do not contain it, so these tests
 * only check servers that are no newer than the installed pg_dump.
 */
describe('a database that is restored from a dump', () => {
  let database: TestDatabase;
  let copy: TestDatabase | undefined;
  let dump: Dump | undefined;
  let releases: Releases;
  let restored: Releases | undefined;
  let role: string;

  beforeAll(async () => {
    database = await TestDatabase.create();
    dump = await Dump.find(database);
    role = `${database.name}_app`;
    await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'; CREATE ROLE ${role}_reader`);
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE items (id int PRIMARY KEY, amount int);
      INSERT INTO items VALUES (1, 10), (2, 20)`);
    await releases.start(VIEWS);
    await database.query(`
      GRANT SELECT ON ${QUOTED} TO ${role}_reader;
      CREATE INDEX by_hand ON "z below" (amount) WHERE amount > 1;
      CREATE STATISTICS by_hand ON id, amount FROM "z below"`);
    await releases.get(RefreshService).refresh('public.z below');
    await releases.stop();
  });

  afterEach(async () => {
    await restored?.end();
    await releases.end();
    await copy?.drop();
    restored = copy = undefined;
  });

  afterAll(async () => {
    await database.query(
      `DROP OWNED BY ${role}, ${role}_reader; DROP ROLE ${role}, ${role}_reader`,
    );
    await database.drop();
  });

  /** Restores a dump; `undefined` if there is no pg_dump for the server. */
  async function restore(way: DumpWay): Promise<TestDatabase | undefined> {
    copy = await dump?.restored(database, way);
    return copy;
  }

  async function start(
    at: TestDatabase,
    options: ModuleOptions = {},
    url = at.url,
  ): Promise<Releases> {
    restored ??= new Releases(at);
    await restored.start(VIEWS, options, { url });
    return restored;
  }

  const counts = (): unknown => restored?.reports.at(-1)?.counts;

  /** Expects that the status of a view shows whether its sources were written to. */
  async function expectTracked(at: TestDatabase): Promise<void> {
    const service = restored?.get(RefreshService);
    const isUnchanged = async (view: string): Promise<unknown> =>
      (await service?.status(view))?.changes?.isUnchanged;
    for (const [written, id] of [
      [30, 60],
      [40, 100],
    ]) {
      await at.query(`INSERT INTO items VALUES (${written}, ${written})`);
      expect(await isUnchanged('public.z below')).toBe(false);
      await service?.refresh('public.z below');
      expect(await isUnchanged(SUBJECT)).toBe(false);
      await service?.refresh(SUBJECT);
      expect(await at.query(`SELECT id FROM ${QUOTED}`)).toEqual([{ id }]);
      expect(await isUnchanged('public.z below')).toBe(true);
      expect(await isUnchanged(SUBJECT)).toBe(true);
    }
  }

  it.each(Object.entries(FULL))('has all that it had, and nothing to do: %s', async (_, way) => {
    const at = await restore(way);
    if (at === undefined) {
      return;
    }
    const before = await catalog(at);
    expect(before).toEqual(await catalog(database));
    await start(at, { synchronize: 'create' });
    expect(counts()).toMatchObject({ unchanged: 3, created: 0, changed: 0 });
    expect(await restored?.get(SchemaService).diff()).toEqual([]);
    expect(await catalog(at)).toEqual(before);
    await expectTracked(at);
  });

  it.each(Object.values(FULL))('needs the state schema: %j', async (way) => {
    if (dump !== undefined) {
      const options = ['--exclude-schema=materialized_views'];
      await expect(restore({ ...way, options })).rejects.toThrow(
        'schema "materialized_views" does not exist',
      );
    }
  });

  it('needs no history', async () => {
    const options = ['--exclude-table-data=materialized_views.refresh_history'];
    const at = await restore({ format: 'plain', options });
    if (at === undefined) {
      return;
    }
    expect(await at.query('SELECT FROM materialized_views.refresh_history')).toEqual([]);
    await start(at, { synchronize: 'verify', onDrift: 'fail' });
    await expectTracked(at);
  });

  it.each(Object.keys(FULL))(
    'without rows, its views are left to a refresh, or filled by a boot that may change views: %s',
    async (how) => {
      const at = await restore({ ...(FULL[how] as DumpWay), options: ['--schema-only'] });
      if (at === undefined) {
        return;
      }
      expect(await at.query('SELECT FROM materialized_views.view_state')).toEqual([]);
      await start(at, { synchronize: 'create' });
      expect(counts()).toMatchObject({ unchanged: 1, skipped: 2, failed: 0 });
      await at.query('INSERT INTO items VALUES (1, 10), (2, 20)');
      await start(at);
      expect(await restored?.get(SchemaService).diff()).toEqual([]);
      await expectTracked(at);
    },
  );

  it.each(Object.keys(FULL))('belongs to who restores it, without grants: %s', async (how) => {
    const options = ['--no-owner', '--no-privileges'];
    const at = await restore({ ...(FULL[how] as DumpWay), options, role });
    if (at === undefined) {
      return;
    }
    await start(at, { synchronize: 'create' }, urlFor(at, role));
    expect(counts()).toMatchObject({ unchanged: 3, created: 0, changed: 0 });
    expect(
      await at.query(
        `SELECT DISTINCT pg_get_userbyid(relowner) AS owner, relacl FROM pg_class WHERE relkind = 'm'`,
      ),
    ).toEqual([{ owner: role, relacl: null }]);
    await expectTracked(at);
  });
});
