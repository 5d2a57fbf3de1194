import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FaultServer } from '../support/fault-server.js';
import { bootWith } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';

const USAGE = 'SELECT pg_notification_queue_usage() AS usage';

const Count = viewClass({
  name: 'count "of" orders',
  schema: 'Far away',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
  refresh: { on: 'sources', debounce: 0 },
});

describe("with wakeUp: 'notify'", () => {
  let server: FaultServer;
  let database: TestDatabase;

  beforeAll(async () => {
    server = await FaultServer.start();
    database = await TestDatabase.create(server.url);
  });

  afterAll(async () => {
    await database.drop();
    await server.stop();
  });

  it('a full notification queue does not make writers fail (before PostgreSQL 17 it has 8 GB)', async () => {
    const [setting] = await database.query(
      `SELECT FROM pg_settings WHERE name = 'max_notify_queue_pages'`,
    );
    if (setting === undefined) {
      return;
    }
    await database.query('ALTER SYSTEM SET max_notify_queue_pages = 64');
    await server.restart('fast');
    await database.reconnect();
    await database.query('CREATE TABLE orders (id serial)');
    const app = await bootWith(database, { views: [Count], scheduling: true, wakeUp: 'notify' });
    // A listener with an open transaction keeps all notifications in the queue.
    const sleeper = await database.session();
    await sleeper.query('LISTEN anything');
    await sleeper.query('BEGIN');
    await database.query(
      `SELECT pg_notify('anything', n || repeat('x', 7500)) FROM generate_series(1, 60) AS n`,
    );
    const [before] = await database.query<{ usage: number }>(USAGE);
    expect(before?.usage).toBeGreaterThan(0.8);
    for (let count = 0; count < 3_000; count++) {
      await database.query('INSERT INTO orders DEFAULT VALUES');
    }
    expect(await database.query(USAGE)).toEqual([before]);
    await database.until(`SELECT FROM "Far away"."count ""of"" orders" WHERE id = 3000`);
    await sleeper.end();
    await app.close();
  });
});
