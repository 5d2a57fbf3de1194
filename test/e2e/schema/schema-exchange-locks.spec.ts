import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { MaterializedViewsModule, SchemaService } from '../../../lib/index.js';
import { bootRelease } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView } from '../../support/view-class.js';

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

const A: TestView = {
  name: 'a',
  expression: 'SELECT id FROM items',
  indexes: [{ name: 'a_id', keys: ['id'] }],
};
const B: TestView = {
  name: 'B b',
  schema: 'Far away',
  expression: 'SELECT id FROM items',
  indexes: [{ name: 'b_id', keys: ['id'] }],
};
const C: TestView = { name: 'c', expression: 'SELECT id FROM items' };
const CHANGED: TestView = { ...A, expression: 'SELECT id + 1 AS id FROM items' };
const NAME_B = '"Far away"."B b"';

/** Releases that lock out readers of `a` and then also need a lock on `"B b"`. */
const CHANGES: [string, TestView[]][] = [
  ['loses an index', [CHANGED, { ...B, indexes: [] }, C]],
  [
    'gets another index',
    [CHANGED, { ...B, indexes: [{ name: 'b_id', keys: [{ property: 'id', order: 'DESC' }] }] }, C],
  ],
  ['goes', [CHANGED, C]],
  ['gets another name', [CHANGED, { ...B, name: 'b', renamedFrom: 'Far away.B b' }, C]],
  ['loses an index, while "a" only does too', [{ ...A, indexes: [] }, { ...B, indexes: [] }, C]],
];

describe('the exchange of a plan with several steps', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let sessions: Client[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Far away" CASCADE');
    await database.query('DROP TABLE IF EXISTS items CASCADE');
    await database.query('CREATE TABLE items AS SELECT generate_series(1, 7) AS id');
    await release([A, B, C]);
  });

  afterEach(async () => {
    await Promise.all(sessions.map((client) => client.end()));
    sessions = [];
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  async function release(views: TestView[], options: Options = {}): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    app = await bootRelease(database, views, { prune: true, lockTimeout: '2s', ...options });
    return app.get(SchemaService);
  }

  async function transaction(): Promise<Client> {
    const client = await database.session();
    sessions.push(client);
    await client.query('BEGIN');
    return client;
  }

  it.each(CHANGES)(
    'lets readers of "a" through while it waits for "B b", which %s',
    async (_, views) => {
      const long = await transaction();
      await long.query(`SELECT FROM ${NAME_B}`);
      const change = release(views, { lockTimeout: '30s' });
      change.catch(() => undefined);
      // Its second request for "B b" shows that it has released the locks that it held.
      await untilAsked(2);
      // The transaction that it waits for can also read "a": there is no deadlock, and neither is cancelled.
      await long.query('SELECT FROM a');
      await long.query('COMMIT');
      await change;
      expect(await app?.get(SchemaService).diff()).toEqual([]);
    },
  );

  it('does not block readers of a view that is only renamed while others are built', async () => {
    const gate = await database.closeGate();
    const change = release([
      { ...A, name: 'a2', renamedFrom: 'a' },
      B,
      { ...C, expression: 'SELECT id FROM items WHERE public.gate()' },
    ]);
    await gate.untilReached();
    expect(await database.query('SELECT count(*) FROM a')).toEqual([{ count: '7' }]);
    await gate.open();
    await change;
    expect(await database.query('SELECT count(*) FROM a2')).toEqual([{ count: '7' }]);
  });

  it('locks everything together in a migration, also on the way back of several renames', async () => {
    const schema = await release(
      [
        CHANGED,
        { ...B, name: 'b', renamedFrom: 'Far away.B b' },
        { ...C, name: 'c2', renamedFrom: 'c' },
      ],
      { synchronize: false },
    );
    const file = await schema.generateMigration({ name: 'any' });
    const [up = '', down = ''] = (file?.source ?? '')
      .split(/async (?:up|down)\(/)
      .slice(1)
      .map((method) => /From here on[^\n]*\n(.*?)\n    \/\//s.exec(method)?.[1] ?? '');
    expect(["''a''", "''B b''", "''c''"].filter((name) => !up.includes(name))).toEqual([]);
    expect(["''a''", "''b''", "''c2''"].filter((name) => !down.includes(name))).toEqual([]);
  });

  it('blocks no reader while triggers wait for the writers of their tables', async () => {
    const writer = await transaction();
    await writer.query('INSERT INTO items VALUES (8)');
    const change = release([{ ...CHANGED, refresh: { on: 'sources' } }, B, C], {
      lockTimeout: '30s',
    });
    change.catch(() => undefined);
    await database.until(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE datname = current_database() AND relation = 'items'::regclass AND NOT granted`,
    );
    expect(
      await database.query(
        `SELECT FROM pg_locks WHERE relation = 'a'::regclass AND mode = 'AccessExclusiveLock'`,
      ),
    ).toEqual([]);
    await writer.query('SELECT FROM a');
    await writer.query('COMMIT');
    await change;
  });

  it('blocks no writer of a table that gets triggers while rows are computed in place', async () => {
    const gate = await database.closeGate();
    const changed = { ...A, expression: 'SELECT id FROM items WHERE public.gate()' };
    const change = release([{ ...changed, refresh: { on: 'sources' } }, B, C], {
      lockTimeout: '30s',
      rebuildStrategy: 'drop-and-create',
    });
    change.catch(() => undefined);
    await gate.untilReached();
    const writer = await transaction();
    await writer.query(`SET LOCAL lock_timeout = '5s'`);
    await writer.query('INSERT INTO items VALUES (8)');
    await writer.query('COMMIT');
    await gate.open();
    await change;
  });

  /** Waits until a lock on "B b" was requested that many times. */
  async function untilAsked(times: number): Promise<void> {
    const seen = new Set<string>();
    while (seen.size < times) {
      const rows = await database.query<{ asked: string }>(
        `SELECT pid || ' ' || coalesce((to_jsonb(l) ->> 'waitstart'), query_start::text) AS asked
         FROM pg_locks l JOIN pg_stat_activity USING (pid)
         WHERE relation = '${NAME_B}'::regclass AND NOT granted`,
      );
      rows.forEach(({ asked }) => seen.add(asked));
    }
  }
});
