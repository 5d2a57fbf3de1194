import { afterAll, afterEach, beforeAll, describe, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import { expectEachNeeded } from '../../support/needed-privileges.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const STATE = '"Own state"';

const Standing = viewClass({
  schema: 'Far away',
  name: 'standing',
  expression: 'SELECT id FROM "The shop".orders',
  key: ['id'],
});

const Changed = viewClass({
  schema: 'Far away',
  name: 'standing',
  expression: 'SELECT id, 1 AS more FROM "The shop".orders',
  key: ['id'],
});

const newView = (schema: string, refresh = {}): ReturnType<typeof viewClass> =>
  viewClass({ schema, name: 'made', expression: 'SELECT id FROM "The shop".orders', refresh });

interface Task {
  /** The needs in docs/operations/privileges.md (`privilege ON object`, or a role), and the hint if one is missing. */
  needs: Record<string, RegExp>;
  work: () => Promise<unknown>;
  /** Resets what `work` did, so that it can run again. */
  undo: string;
}

const OWN_TABLES = /on the schema `stateSchema`/;
const VIEWS = /own the views that change.*CREATE on their schemas, SELECT on what they read/;
const SWAP = /member of the owner/;
const TRACKING = /own the tables, or be a member of their owner.*EXECUTE/;

const STATE_NEEDS = {
  [`USAGE ON SCHEMA ${STATE}`]: OWN_TABLES,
  [`SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA ${STATE}`]: OWN_TABLES,
};
const READ_NEEDS = {
  'USAGE ON SCHEMA "The shop"': VIEWS,
  'SELECT ON "The shop".orders': VIEWS,
};

describe('the privileges of docs/operations/privileges.md for changing the schema', () => {
  let database: TestDatabase;
  let role: string;
  let owner: string;
  let admin: TestingModule;
  let least: TestDatabase;
  const apps: TestingModule[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    role = `least_${database.name}`;
    owner = `owner_${database.name}`;
    await database.query(`
      CREATE SCHEMA "The shop";
      CREATE TABLE "The shop".orders (id int PRIMARY KEY);
      CREATE ROLE ${role} LOGIN PASSWORD 'secret';
      CREATE ROLE ${owner}`);
    admin = await bootWith(database, { views: [Standing], stateSchema: 'Own state' });
    await database.query(`
      ALTER MATERIALIZED VIEW "Far away".standing OWNER TO ${owner};
      ALTER TABLE "The shop".orders OWNER TO ${owner};
      GRANT USAGE, CREATE ON SCHEMA "Far away" TO ${owner};
      GRANT USAGE ON SCHEMA "The shop" TO ${owner}`);
    const url = new URL(database.url);
    url.username = role;
    url.password = 'secret';
    least = Object.assign(Object.create(database) as TestDatabase, { url: url.href });
  });

  afterEach(async () => {
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  afterAll(async () => {
    await admin.close();
    await database.query(`DROP OWNED BY ${role}, ${owner}; DROP ROLE ${role}, ${owner}`);
    await database.drop();
  });

  const boot = async (view: ReturnType<typeof viewClass>): Promise<TestingModule> => {
    const app = await bootWith(least, {
      views: [view],
      stateSchema: 'Own state',
      synchronize: true,
    });
    apps.push(app);
    return app;
  };

  const tasks: Record<string, () => Task> = {
    'create a view and its schema': () => ({
      needs: {
        [`CREATE ON DATABASE ${database.name}`]: /CREATE on the database/,
        ...READ_NEEDS,
        ...STATE_NEEDS,
      },
      work: () => boot(newView('New place')),
      undo: 'DROP SCHEMA IF EXISTS "New place" CASCADE',
    }),
    'create a view': () => ({
      needs: { 'USAGE, CREATE ON SCHEMA "Far away"': VIEWS, ...READ_NEEDS, ...STATE_NEEDS },
      work: () => boot(newView('Far away')),
      undo: 'DROP MATERIALIZED VIEW IF EXISTS "Far away".made',
    }),
    'change a view of another role': () => ({
      needs: { [owner]: VIEWS, ...STATE_NEEDS },
      work: () => boot(Changed),
      undo: `DROP MATERIALIZED VIEW "Far away".standing;
        CREATE MATERIALIZED VIEW "Far away".standing AS SELECT id FROM "The shop".orders;
        ALTER MATERIALIZED VIEW "Far away".standing OWNER TO ${owner}`,
    }),
    'refresh a view of another role by swap': () => ({
      needs: { [owner]: SWAP, ...STATE_NEEDS },
      work: async () =>
        (await boot(Changed)).get(RefreshService).refresh(Changed, { mode: 'swap' }),
      undo: '',
    }),
    'track the writes of a table of another role': () => ({
      needs: {
        [owner]: VIEWS,
        [`EXECUTE ON ALL FUNCTIONS IN SCHEMA ${STATE}`]: TRACKING,
        ...STATE_NEEDS,
      },
      work: () => boot(newView('Far away', { on: 'sources' })),
      undo: `DROP MATERIALIZED VIEW IF EXISTS "Far away".made;
        DROP TRIGGER IF EXISTS "Own state_capture_insert" ON "The shop".orders`,
    }),
  };

  it.each(Object.keys(tasks))('are enough to %s, and each is needed', async (name) => {
    const { needs, work, undo } = tasks[name]?.() as Task;
    const reset = (): Promise<unknown> =>
      database.query(`${undo}; DELETE FROM ${STATE}.view_state WHERE view_name = 'made'`);
    await expectEachNeeded(database, { role, needs, work, reset });
  });
});
