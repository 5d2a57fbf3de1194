import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { diagnose, type Finding } from '../../support/doctor.js';
import { SchemaProject } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';

const KEY = { schema: 'public', name: 'keyed "view"' };
const KEYED = {
  ...KEY,
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
  indexes: [{ name: 'keyed_id', keys: ['id'], unique: true }],
  refresh: { on: 'sources' },
};
const CALLING = {
  name: 'calling',
  expression: 'SELECT id, public."look up"(id) AS found FROM public.orders',
  columns: ['id', 'found'],
  indexes: [{ name: 'calling_id', keys: ['id'], unique: true }],
};
const ADDED = { name: 'added', expression: 'SELECT 1 AS id', columns: ['id'] };
const RENAMED = {
  name: 'renamed',
  expression: 'SELECT id FROM public.orders',
  columns: ['id'],
  indexes: [{ name: 'renamed_id', keys: ['id'], unique: true }],
};

/** From this PostgreSQL version on, MAINTAIN is the only privilege that a role needs. */
const MAINTAIN_VERSION = 170_000;

describe('doctor, all at once (features.md, row 6)', () => {
  const role = `limited_${randomBytes(4).toString('hex')}`;
  const owner = `owner_${randomBytes(4).toString('hex')}`;
  let database: TestDatabase;
  /** Connects as the role that created the views; `limited` as a role that may only read the state schema. */
  let admin: SchemaProject;
  let limited: SchemaProject;
  let stranger: Client;
  let version: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    version = row?.version ?? 0;
    await database.query(`
      CREATE ROLE ${role} LOGIN;
      CREATE ROLE ${owner};
      CREATE TABLE orders AS SELECT 1 AS id, 'a' AS note UNION ALL SELECT 2, 'a';
      GRANT SELECT ON orders TO ${owner};
      GRANT USAGE, CREATE ON SCHEMA public TO ${owner};
      CREATE FUNCTION "look up"(int) RETURNS int LANGUAGE sql AS 'SELECT $1' SET search_path = public;
      REVOKE EXECUTE ON FUNCTION "look up"(int) FROM PUBLIC`);
    admin = await SchemaProject.create(database.directUrl);
    await admin.declare([KEYED, CALLING, RENAMED]);
    expect(await admin.run('sync')).toMatchObject({ exitCode: 0 });
    const url = new URL(database.directUrl);
    url.username = role;
    limited = await SchemaProject.create(url.href);
    await limited.declare([
      KEYED,
      CALLING,
      ADDED,
      { ...RENAMED, expression: 'SELECT gone AS id FROM public.orders' },
    ]);
    await database.query(`
      GRANT USAGE ON SCHEMA materialized_views TO ${role};
      GRANT SELECT ON ALL TABLES IN SCHEMA materialized_views TO ${role};
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA materialized_views TO ${role}`);
    stranger = await database.session();
  });

  afterAll(async () => {
    await stranger.end().catch(() => undefined);
    await admin.remove();
    await limited.remove();
    await database.query(`DROP OWNED BY ${role}, ${owner}`);
    await database.drop();
    const client = new Client({ connectionString: process.env.TEST_SERVER_URL });
    await client.connect();
    await client.query(`DROP ROLE ${role}, ${owner}`);
    await client.end();
  });

  const findings = async (project: SchemaProject): Promise<Finding[]> =>
    (await diagnose(project)).found;

  /** Causes each of the problems the way users run into it. */
  const hurt = async (): Promise<void> => {
    await database.query(`
      ALTER MATERIALIZED VIEW calling OWNER TO ${owner};
      ALTER ROLE ${role} IN DATABASE ${database.name} SET statement_timeout = '5min';
      DROP INDEX materialized_views.refresh_history_outcome;
      INSERT INTO orders VALUES (3, 'b');
      INSERT INTO materialized_views.change_log
      SELECT l.* FROM materialized_views.change_log l, generate_series(1, 100000)`);
    await expect(
      database.query(`CREATE UNIQUE INDEX CONCURRENTLY "by ""note""" ON "keyed ""view""" (note)`),
    ).rejects.toThrow(/could not create unique index/);
    await stranger.query(`SELECT pg_advisory_lock(${refreshLockKey(KEY)})`);
  };

  it('finds each problem, and what it prints fixes it', async () => {
    await hurt();
    const found = await findings(limited);
    const grant = (view: string, of: string): unknown =>
      expect.stringMatching(
        version >= MAINTAIN_VERSION
          ? `^GRANT MAINTAIN ON ${view} TO "${role}";`
          : `^GRANT "${of}" TO "${role}";$`,
      );
    const keyed = 'public.keyed "view"';
    const said: [string, string | undefined, unknown][] = [
      ['tables-version', undefined, 'matviews sync # or: matviews generate <path>'],
      ['locked', keyed, expect.stringMatching(/^SELECT pg_catalog.pg_terminate_backend\(\d+\);$/)],
      ['missing', 'public.added', 'matviews sync'],
      [
        'no-execute',
        'public.calling',
        `GRANT EXECUTE ON FUNCTION public."look up"(integer) TO "${owner}";`,
      ],
      ['not-owner', 'public.calling', grant('public.calling', owner)],
      ['not-owner', keyed, grant('public."keyed ""view"""', 'postgres')],
      ['not-owner', 'public.renamed', grant('public.renamed', 'postgres')],
      ['diff-fails', 'public.renamed', expect.any(String)],
      [
        'setting',
        undefined,
        `ALTER ROLE ${role} IN DATABASE ${database.name} RESET statement_timeout;`,
      ],
      ['invalid-index', keyed, 'REINDEX INDEX "public"."by ""note""";'],
      ['log-full', undefined, `matviews refresh '${keyed}'`],
    ];
    expect(found.map(({ code, view, fix }) => [code, view, fix])).toEqual(said);

    // The limited role lacks the privileges to see the cause; the owner of the views sees it.
    await admin.declare([
      KEYED,
      CALLING,
      { ...RENAMED, expression: 'SELECT gone AS id FROM public.orders' },
    ]);
    expect(await findings(admin)).toContainEqual(
      expect.objectContaining({
        code: 'diff-fails',
        view: 'public.renamed',
        message: expect.stringContaining('42703') as unknown,
      }),
    );

    // Only a person can fix a failing query and duplicate rows.
    await admin.declare([KEYED, CALLING, RENAMED, ADDED]);
    await limited.declare([KEYED, CALLING, RENAMED, ADDED]);
    await database.query('DELETE FROM orders WHERE id = 2');
    const fixes = [
      ...new Set(found.filter(({ code }) => code !== 'diff-fails').map(({ fix }) => fix)),
    ];
    const isCommand = (fix: string): boolean => fix.startsWith('matviews ');
    for (const fix of fixes.filter((each) => each.includes('pg_terminate_backend'))) {
      await database.query(fix);
    }
    for (const fix of fixes.filter(isCommand)) {
      expect([fix, await admin.runLine(fix)]).toMatchObject([fix, { exitCode: 0 }]);
    }
    for (const fix of fixes.filter((each) => !isCommand(each))) {
      await database.query(fix);
    }
    const left = await findings(limited);
    const names = said.map(([code, view]) => `${code} ${view}`);
    expect(left.filter(({ code, view }) => names.includes(`${code} ${view}`))).toEqual([]);
  });
});
