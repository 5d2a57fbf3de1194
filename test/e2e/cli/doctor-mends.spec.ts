import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { examine } from '../../../lib/cli/doctor/doctor.js';
import { diagnose, diagnoseAll, type Finding } from '../../support/doctor.js';
import { FaultServer } from '../../support/fault-server.js';
import { managed } from '../../support/managed.js';
import { PgBouncer } from '../../support/pgbouncer.js';
import { Releases } from '../../support/releases.js';
import { type ProjectView, SchemaProject } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';
import { plainViewClass, type TestView } from '../../support/view-class.js';

const BASE: TestView = {
  name: 'base "view"',
  expression: 'SELECT id FROM public.orders',
  key: ['id'],
};
const ABOVE: TestView = { name: 'above', expression: 'SELECT id FROM public.between' };
const TOP: TestView = {
  schema: 'Odd schema',
  name: 'top',
  expression: `SELECT a.id FROM public.above a JOIN public."base ""view""" b ON a.id = b.id`,
};
const KEPT: TestView = { name: 'kept', expression: 'SELECT 1 AS id', key: ['id'] };
const betweenView = plainViewClass({
  name: 'between',
  expression: 'SELECT id FROM public."base ""view"""',
});

describe('what doctor says, run as it stands (features.md, row 6)', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders AS SELECT 1 AS id');
  });

  afterEach(() => database.drop());

  it('orphan: drops each view in the order in which they are found', async () => {
    const releases = new Releases(database);
    try {
      await releases.start([BASE, betweenView, ABOVE, TOP, KEPT]);
      await releases.start([KEPT]);
      const orphans = async (): Promise<Finding[]> =>
        (await examine(managed(releases.module))).filter(({ code }) => code === 'orphan');
      const found = await orphans();
      expect(found.map(({ fix }) => fix)).toEqual([
        'DROP MATERIALIZED VIEW "Odd schema"."top";',
        'DROP MATERIALIZED VIEW "public"."above";',
        'DROP VIEW "public"."between";',
        'DROP MATERIALIZED VIEW "public"."base ""view""";',
      ]);
      for (const { fix } of found) {
        await database.query(fix);
      }
      expect(await orphans()).toEqual([]);
    } finally {
      await releases.end();
    }
  });

  describe('by the command', () => {
    const projects: SchemaProject[] = [];

    afterEach(async () => {
      await Promise.all(projects.splice(0).map((each) => each.remove()));
    });

    const createProject = async (url = database.url): Promise<SchemaProject> => {
      const project = await SchemaProject.create(url);
      projects.push(project);
      return project;
    };

    const codes = async (project: SchemaProject): Promise<string[]> =>
      (await diagnose(project)).found.map(({ code }) => code);

    const SUMS: ProjectView = {
      name: 'sums',
      expression: 'SELECT id FROM public.orders',
      columns: ['id'],
      indexes: [{ name: 'sums_id', keys: ['id'], unique: true }],
    };

    it.each([
      ['its class needs it no more', [SUMS]],
      ['its view is gone', []],
    ])('capture-superfluous: where %s, takes the triggers away', async (_why, later) => {
      const project = await createProject();
      await project.declare([{ ...SUMS, refresh: { on: 'sources' } }]);
      expect(await project.run('sync')).toMatchObject({ exitCode: 0 });
      if (later.length === 0) {
        await database.query('DROP MATERIALIZED VIEW sums');
      }
      await project.declare(later);
      const { found } = await diagnose(project);
      expect(found).toMatchObject([{ code: 'capture-superfluous', view: 'public.orders' }]);
      expect(await project.runLine(found[0]?.fix ?? '')).toMatchObject({ exitCode: 0 });
      expect(await codes(project)).toEqual([]);
      const triggers = `SELECT FROM pg_trigger WHERE tgrelid = 'public.orders'::regclass`;
      expect(await database.query(triggers)).toEqual([]);
    });

    it('pooler: says which settings to change, and which command follows', async () => {
      const pgBouncer = await PgBouncer.before(database.directUrl);
      try {
        const project = await createProject(pgBouncer.urlOf(database.directUrl));
        await project.declare([SUMS], { wakeUp: 'notify' });
        expect(await project.run('sync')).toMatchObject({ exitCode: 0 });
        const { found } = await diagnose(project);
        expect(found).toMatchObject([{ code: 'pooler' }]);
        const [said = '', command = ''] = found[0]?.fix.split(' and run: ') ?? [];
        expect(said).toBe(
          "Connect to the server itself, or set wakeUp: 'poll' in MaterializedViewsModule.forRoot and in package.json#matviews,",
        );
        // With a direct connection to the server, there is no finding.
        const direct = await createProject(database.directUrl);
        await direct.declare([SUMS], { wakeUp: 'notify' });
        expect(await codes(direct)).toEqual([]);
        await project.declare([SUMS], { wakeUp: 'poll' });
        expect(await project.runLine(command)).toMatchObject({ exitCode: 0 });
        expect(await codes(project)).toEqual([]);
      } finally {
        await pgBouncer.stop();
      }
    });
  });
});

describe('what doctor says of the server, run as it stands (features.md, row 6)', () => {
  const found = async (project: SchemaProject, code: string): Promise<Finding[]> =>
    (await diagnoseAll(project)).found.filter((each) => each.code === code);

  it.each([
    ['others have taken them', 3, 8],
    ['one process takes more than there are', 40, 0],
  ])('connections: where %s', async (_why, poolSize, otherCount) => {
    const server = await FaultServer.start({ max_connections: undefined });
    const project = await SchemaProject.create(server.url);
    await project.declare([], { poolSize });
    const restart = async (statement: string): Promise<void> => {
      const client = await connect(server.url);
      await client.query(statement);
      await server.restart('fast');
      await Promise.all(Array.from({ length: otherCount }, () => connect(server.url)));
    };
    try {
      await restart('ALTER SYSTEM SET max_connections = 16');
      const [finding] = await found(project, 'connections');
      expect(finding?.severity).toBe('warning');
      await restart(finding?.fix ?? '');
      expect(await found(project, 'connections')).toEqual([]);
    } finally {
      await project.remove();
      await server.stop();
    }
  });

  it('server-version: says to upgrade where there are no more fixes', async () => {
    const project = await SchemaProject.create(process.env.TEST_SERVER_URL ?? '');
    await project.declare([]);
    const client = await connect(process.env.TEST_SERVER_URL ?? '');
    const { rows } = await client.query<{ major: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS major`,
    );
    await client.end();
    const { major = 0 } = rows[0] ?? {};
    const fix = `Upgrade the server with pg_upgrade, from ${major} to a version that is supported.`;
    // PostgreSQL 15 is supported until 2027.
    expect((await found(project, 'server-version')).map((each) => each.fix)).toEqual(
      major < 15 ? [fix] : [],
    );
    await project.remove();
  });
});

/** Opens a session that survives being terminated by the server. */
async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
