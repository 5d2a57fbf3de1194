import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplicationContext } from '@nestjs/common';
import { RefreshService } from '../../lib/index.js';
import { FaultServer } from '../support/fault-server.js';
import { bootWith } from '../support/test-app.js';
import { TestDatabase } from '../support/test-database.js';
import { viewClass } from '../support/view-class.js';

const Count = viewClass({
  name: 'count "of" orders',
  schema: 'Far away',
  expression: 'SELECT count(*)::int AS id FROM public.orders',
  refresh: { on: 'sources', debounce: 0, maxStaleness: '1m' },
});

describe('writes to the tables of a view', () => {
  let server: FaultServer;
  let database: TestDatabase;
  let app: INestApplicationContext | undefined;

  beforeEach(async () => {
    server = await FaultServer.start();
    database = await TestDatabase.create(server.url);
    await database.query('CREATE TABLE orders (id serial)');
    await database.query('ALTER SYSTEM SET max_prepared_transactions = 10');
    await server.restart('fast');
    await database.reconnect();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
    await server.stop();
  });

  const start = async (wakeUp: 'poll' | 'notify', scheduling = true): Promise<void> => {
    app = await bootWith(database, { views: [Count], scheduling, wakeUp });
  };

  const prepare = async (): Promise<void> => {
    await database.query('BEGIN');
    await database.query('INSERT INTO orders DEFAULT VALUES');
    await database.query("PREPARE TRANSACTION 'both'");
  };

  const untilCounted = async (count: number): Promise<void> => {
    await database.until('SELECT FROM "Far away"."count ""of"" orders" WHERE id = $1', [count]);
  };

  it('count when a prepared transaction commits, even after a crash and a refresh', async () => {
    await start('poll');
    await prepare();
    await database.query('INSERT INTO orders DEFAULT VALUES');
    await untilCounted(1);
    await server.restart('immediate');
    await database.reconnect();
    await database.query('INSERT INTO orders DEFAULT VALUES');
    await untilCounted(2);
    await database.query("COMMIT PREPARED 'both'");
    await untilCounted(3);
  });

  it('cannot be prepared if they notify, and are rolled back', async () => {
    await start('notify', false);
    await expect(prepare()).rejects.toMatchObject({ code: '0A000' });
    await expect(database.query('SELECT FROM orders')).resolves.toEqual([]);
  });

  it('count after a failover', async () => {
    await start('poll');
    const refreshes = app?.get(RefreshService);
    await refreshes?.pause(Count);
    await database.query('INSERT INTO orders DEFAULT VALUES');
    await server.becomeStandby();
    await database.reconnect();
    await server.promote();
    await database.until('SELECT WHERE NOT pg_is_in_recovery()');
    await refreshes?.resume(Count);
    await untilCounted(1);
    await database.query('INSERT INTO orders DEFAULT VALUES');
    await untilCounted(2);
  });
});
