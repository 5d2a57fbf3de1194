import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CronExpression } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import {
  alterTable,
  InsufficientPrivilegeError,
  RefreshBusyError,
  RefreshCancelledError,
  RefreshService,
  SchemaService,
  SyncLockTimeoutError,
} from '../../../lib/index.js';
import {
  changeLogLockKey,
  refreshLockKey,
  syncLockKey,
} from '../../../lib/postgres/advisory-lock.js';
import { type LockHolderRow, selectLockHolders } from '../../../lib/postgres/advisory-lock.sql.js';
import { FaultServer } from '../../support/fault-server.js';
import { managed } from '../../support/managed.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootWith } from '../../support/test-app.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const NAME = { schema: 'Sales eu', name: 'daily "Total"' };
const VIEW = 'Sales eu.daily "Total"';

const Total = viewClass({
  ...NAME,
  expression: 'SELECT id FROM public.orders WHERE public.gate()',
  key: ['id'],
  refresh: { cron: CronExpression.EVERY_HOUR },
});
const Other = viewClass({ name: 'other', expression: 'SELECT 1 AS id', key: ['id'] });

/** Ways to hold an advisory lock, by a session or a transaction. */
const HOLDS: Record<string, string> = {
  'a session': 'SELECT pg_advisory_lock($KEY)',
  'a session that shares it': 'SELECT pg_advisory_lock_shared($KEY)',
  'a transaction that shares it': 'BEGIN; SELECT pg_advisory_xact_lock_shared($KEY)',
  'a session in a transaction': 'SELECT pg_advisory_lock_shared($KEY); BEGIN; SELECT 1',
};

const KEYS: Record<string, { key: string; says: string }> = {
  refresh: { key: refreshLockKey(NAME), says: `"${VIEW}" cannot be refreshed` },
  sync: { key: syncLockKey(), says: 'Views cannot be created or changed' },
  'change log': { key: changeLogLockKey(), says: 'change log cannot be compacted' },
};

describe('locks that others hold', () => {
  let database: TestDatabase;
  let role: string;
  const apps: TestingModule[] = [];
  const clients: Client[] = [];
  let warnings: string[];

  const start = async (options: object = {}, on = database): Promise<TestingModule> => {
    const app = await bootWith(on, { views: [Total, Other], sweepInterval: 20, ...options });
    apps.push(app);
    managed(app).log.warn = (message: string) => void warnings.push(message);
    return app;
  };
  const foreigner = async (statements: string, key = refreshLockKey(NAME)): Promise<Client> => {
    const client = new Client({
      connectionString: database.directUrl,
      application_name: 'a "stranger"',
    });
    client.on('error', () => undefined);
    clients.push(client);
    await client.connect();
    await client.query(statements.replace('$KEY', key));
    return client;
  };
  const rowsOf = (): Promise<LockHolderRow[]> => {
    const { text, values } = selectLockHolders([refreshLockKey(NAME)], syncLockKey());
    return database.query(text, values);
  };
  const pidOf = async (client: Client): Promise<number> =>
    (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]?.pid ?? 0;
  const free = async (): Promise<void> => {
    await Promise.all(clients.splice(0).map((client) => client.end()));
    // `end` resolves before the server has ended the session.
    await database.until(
      `SELECT FROM pg_stat_activity WHERE application_name LIKE '%stranger%' HAVING count(*) = 0`,
    );
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    role = `stranger_${randomBytes(4).toString('hex')}`;
    await database.query(`CREATE ROLE ${role} LOGIN`);
    await database.query('CREATE TABLE orders AS SELECT 1 AS id');
    await database.createGate();
  });

  beforeEach(() => {
    warnings = [];
  });

  afterEach(async () => {
    await free();
    await Promise.all(apps.splice(0).map((app) => app.close()));
  });

  afterAll(async () => {
    await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
    await database.drop();
  });

  const CASES = Object.keys(HOLDS).flatMap((hold) => Object.keys(KEYS).map((key) => [hold, key]));

  it.each(CASES)(
    'warns once about %s that holds the lock for: %s',
    async (hold = '', name = '') => {
      const { key, says } = KEYS[name] ?? { key: '', says: '' };
      const { locks } = managed(await start());
      await locks.look();
      expect(warnings).toEqual([]);
      const client = await foreigner(HOLDS[hold] ?? '', key);
      await locks.look();
      await locks.look();
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(says);
      expect(warnings[0]).toContain(
        `server process ${await pidOf(client)} (role "postgres", application "a \\"stranger\\"")`,
      );
      await free();
      await locks.look();
      await foreigner(HOLDS[hold] ?? '', key);
      await locks.look();
      expect(warnings).toHaveLength(2);
    },
  );

  it('warns about each of several holders, and once about one that holds all', async () => {
    const { locks } = managed(await start());
    const all = await foreigner('SELECT pg_advisory_lock_shared($KEY)');
    for (const { key } of Object.values(KEYS)) {
      await all.query('SELECT pg_advisory_lock_shared($1::bigint)', [key]);
    }
    const other = await foreigner('SELECT pg_advisory_lock_shared($KEY)');
    await locks.look();
    expect(warnings).toHaveLength(2);
    const said = await Promise.all(
      [all, other].map(async (each) => {
        const pid = await pidOf(each);
        return warnings.filter((line) => line.includes(`server process ${pid} `));
      }),
    );
    expect(said.map((lines) => lines.length)).toEqual([1, 1]);
    Object.values(KEYS).forEach(({ says }) => expect(said[0]?.[0]).toContain(says));
  });

  it('warns when a tick or a request finds the lock taken', async () => {
    const holder = await foreigner('SELECT pg_advisory_lock_shared($KEY)');
    const app = await start({ scheduling: true });
    await expect(app.get(RefreshService).refresh(Total, { onBusy: 'fail' })).rejects.toBeInstanceOf(
      RefreshBusyError,
    );
    await managed(app).locks.stop();
    // Only one process at a time finds ticks, so this one must stop before the next one can.
    await app.close();
    apps.splice(apps.indexOf(app), 1);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`server process ${await pidOf(holder)} `);

    warnings = [];
    await database.query(
      `UPDATE materialized_views.view_state SET last_tick = '2020-01-01' WHERE view_name = $1`,
      [NAME.name],
    );
    const other = await start({ scheduling: true });
    while (warnings.length === 0) {
      await database.query('SELECT pg_sleep(0.01)');
    }
    await other.close();
    apps.splice(apps.indexOf(other), 1);
    expect(warnings[0]).toContain(`"${VIEW}" cannot be refreshed`);
  });

  it('are reported by status and running, and cancel leaves them alone', async () => {
    const app = await start();
    const refreshes = app.get(RefreshService);
    expect((await refreshes.status(Total)).lockedBy).toBeUndefined();
    const client = await foreigner('SELECT pg_advisory_lock_shared($KEY)');
    const holder = {
      backendPid: await pidOf(client),
      role: 'postgres',
      applicationName: 'a "stranger"',
      isForeign: true,
      isOverdue: false,
    };
    const status = await refreshes.status(Total);
    expect(status).toMatchObject({ isRefreshing: false, lockedBy: [holder] });
    expect(await refreshes.running()).toMatchObject([{ view: VIEW, ...holder }]);
    expect((await refreshes.status(Other)).lockedBy).toBeUndefined();
    const sleeping = client.query('SELECT pg_sleep(0.5), 1 AS done');
    expect(await refreshes.cancel(Total)).toBe(false);
    expect((await sleeping).rows).toMatchObject([{ done: 1 }]);
  });

  it('does not report refreshes, in own transactions and those of callers, nor schema changes', async () => {
    const app = await start();
    const { locks, typeOrm } = managed(app);
    const refreshes = app.get(RefreshService);
    const gate = await database.closeGate();
    const refresh = refreshes.refresh(Total);
    await gate.untilReached();
    await locks.look();
    expect(await refreshes.running()).toMatchObject([
      { view: VIEW, isForeign: false, isOverdue: false },
    ]);
    expect(await refreshes.status(Total)).toMatchObject({ isRefreshing: true });
    await gate.open();
    await refresh;
    await typeOrm.transaction(async (manager) => {
      await refreshes.refresh(Total, { manager });
      await locks.look();
      expect((await refreshes.status(Total)).lockedBy).toBeUndefined();
    });
    await managed(app).database.transaction(
      { lockTimeoutMs: 1_000, statementTimeoutMs: 0 },
      async (session) => {
        for (const key of [syncLockKey(), refreshLockKey(NAME)]) {
          await session.query({ text: 'SELECT pg_advisory_xact_lock($1::bigint)', values: [key] });
        }
        await locks.look();
        expect((await refreshes.status(Total)).lockedBy).toBeUndefined();
      },
    );
    expect(warnings).toEqual([]);
  });

  it('warns about a refresh that takes longer than allowed', async () => {
    const app = await start({ statementTimeout: '1s', lockTimeout: 1 });
    const { locks, typeOrm } = managed(app);
    const refreshes = app.get(RefreshService);
    await typeOrm.transaction(async (manager) => {
      await refreshes.refresh(Total, { manager });
      // The library sets no time limit for a caller's transaction.
      await manager.query('SELECT pg_sleep(1.1)');
      await locks.look();
      expect(await refreshes.status(Total)).toMatchObject({
        isRefreshing: true,
        lockedBy: [{ isForeign: false, isOverdue: true }],
      });
    });
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('held for too long');
  });

  it('names who holds the lock that a schema change waits for', async () => {
    const app = await start({ syncTimeout: 200 });
    for (const [key, hold] of [
      [syncLockKey(), 'SELECT pg_advisory_lock_shared($KEY)'],
      [syncLockKey(), 'BEGIN; SELECT pg_advisory_xact_lock($KEY)'],
    ] as const) {
      const client = await foreigner(hold, key);
      const pid = await pidOf(client);
      const error = await app
        .get(SchemaService)
        .drop(Other)
        .catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SyncLockTimeoutError);
      expect((error as Error).message).toContain(`It is held by server process ${pid} (role`);
      expect((error as Error).message).toContain('a \\"stranger\\"');
      await free();
    }
  });

  describe('a view that is changed on a connection of the application', () => {
    const holds = (pid: number): string =>
      `"${VIEW}" cannot be changed: the lock for that is held by server process ${pid} (role`;

    it('by a migration: reports who holds its lock', async () => {
      const app = await start();
      await app.get(SchemaService).drop(Total);
      const file = await app.get(SchemaService).generateMigration({ name: 'again' });
      const pid = await pidOf(await foreigner('SELECT pg_advisory_lock_shared($KEY)'));
      const patient = file && {
        ...file,
        source: file.source.replace(/SET LOCAL lock_timeout = \d+/, 'SET LOCAL lock_timeout = 50'),
      };
      const failure = runMigrations(database, patient, (each) => each.runMigrations());
      await expect(failure).rejects.toThrow(holds(pid));
      await free();
      await runMigrations(database, file, (each) => each.runMigrations());
    });

    it('by alterTable: reports who holds its lock', async () => {
      const app = await start();
      const pid = await pidOf(await foreigner('SELECT pg_advisory_lock_shared($KEY)'));
      const runner = app.get(DataSource).createQueryRunner();
      await runner.query(`SET lock_timeout = 50`);
      const failure = alterTable(runner, 'orders', () => Promise.resolve());
      await expect(failure).rejects.toThrow(holds(pid));
      await runner.query(`RESET lock_timeout`);
      await runner.release();
    });
  });

  describe('with default privileges on new relations', () => {
    const ALTER = 'ALTER DEFAULT PRIVILEGES';
    const OTHER = { schema: 'public', name: 'other' };
    /** The locks whose foreign holders are reported. */
    const KNOWN = [refreshLockKey(NAME), refreshLockKey(OTHER), syncLockKey(), changeLogLockKey()];

    beforeEach(async () => {
      await start();
      await database.query(`${ALTER} GRANT SELECT ON TABLES TO ${role}`);
    });

    afterEach(async () => {
      await database.query(`${ALTER} REVOKE SELECT ON TABLES FROM ${role}`);
    });

    const unknown = (): Promise<unknown[]> =>
      database.query(
        `SELECT key FROM (
           SELECT ((classid::bigint << 32) | objid::bigint)::text AS key FROM ${ADVISORY_LOCKS} WHERE classid <> 0
         ) AS taken
         WHERE key <> ALL ($1)`,
        [KNOWN],
      );

    it('a rebuilt view takes no unreported lock', async () => {
      const [app] = apps;
      const gate = await database.closeGate();
      const swap = app?.get(RefreshService).refresh(Total, { mode: 'swap' });
      await gate.untilReached();
      expect(await unknown()).toEqual([]);
      await gate.open();
      expect(await swap).toMatchObject({ outcome: 'refreshed' });
    });

    it('two views that are rebuilt at once wait for each other', async () => {
      const refreshes = apps[0]?.get(RefreshService) as RefreshService;
      const gate = await database.closeGate();
      const total = refreshes.refresh(Total, { mode: 'swap' });
      await gate.untilReached();
      const other = refreshes.refresh(Other, { mode: 'swap' });
      await database.until(
        `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'transactionid'`,
      );
      await gate.open();
      expect(await Promise.all([total, other])).toMatchObject([{ attempt: 1 }, { attempt: 1 }]);
      const [granted] = await database.query(
        `SELECT defaclacl::text LIKE '%${role}=r/%' AS is_kept FROM pg_default_acl`,
      );
      expect(granted).toEqual({ is_kept: true });
      expect(
        await database.query(`SELECT FROM pg_class WHERE relname = 'other' AND relacl IS NULL`),
      ).toHaveLength(1);
    });
  });

  describe('an application whose role may see little', () => {
    let refreshes: RefreshService;

    beforeEach(async () => {
      await start();
      await database.query(`GRANT USAGE ON SCHEMA materialized_views, "Sales eu" TO ${role};
        GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA materialized_views TO ${role}`);
      const url = new URL(database.url);
      url.username = role;
      const least = Object.assign(Object.create(database) as TestDatabase, { url: url.href });
      refreshes = (await start({ synchronize: false }, least)).get(RefreshService);
    });

    it.each(Object.entries(HOLDS))(
      'sees pid, role and application of %s',
      async (_, statements) => {
        const client = await foreigner(statements);
        const holder = {
          backendPid: await pidOf(client),
          role: 'postgres',
          applicationName: 'a "stranger"',
          isForeign: true,
        };
        const [{ lockedBy: [found] = [] } = {}] = await refreshes.statusAll();
        expect(found).toMatchObject(holder);
        expect(found?.startedAt).toBeUndefined();
        expect(await refreshes.running()).toMatchObject([{ view: VIEW, ...holder }]);
      },
    );

    it('learns which privilege it lacks to cancel', async () => {
      const gate = await database.closeGate();
      const running = apps[0]?.get(RefreshService).refresh(Total);
      await gate.untilReached();
      const error = await refreshes.cancel(Total).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InsufficientPrivilegeError);
      expect((error as Error).message).toContain('was not cancelled');
      expect((error as InsufficientPrivilegeError).hint).toContain('pg_signal_backend');
      await gate.open();
      expect(await running).toMatchObject({ outcome: 'refreshed' });
    });
  });

  it('warns about an idle transaction, and about an invisible one after a time', async () => {
    const { locks } = managed(await start());
    const client = await foreigner('BEGIN; SELECT pg_advisory_xact_lock($KEY)');
    await locks.look();
    expect(warnings).toEqual([]);
    const [row] = await rowsOf();
    const later = { ...row, now: (row?.now ?? 0) + 11_000 };
    expect(locks.holderOf(later as LockHolderRow).isForeign).toBe(true);
    const hidden = { ...row, started_at: null, idle_ms: null };
    expect(locks.holderOf(hidden as LockHolderRow, 9_000).isForeign).toBe(false);
    expect(locks.holderOf(hidden as LockHolderRow, 11_000).isForeign).toBe(true);
    // The clock of the database has gone back since the session began.
    const ahead = { ...row, now: (row?.now ?? 0) - 3_600_000, idle_ms: -3_600_000 };
    expect(locks.holderOf(ahead as LockHolderRow, 11_000).isForeign).toBe(true);
    await client.query(
      'ALTER MATERIALIZED VIEW "Sales eu"."daily ""Total""" SET (fillfactor = 90)',
    );
    const [refresher] = await rowsOf();
    const long = { ...refresher, now: (refresher?.now ?? 0) + 11_000 };
    expect(locks.holderOf(long as LockHolderRow).isForeign).toBe(false);
  });

  it('warns about a prepared transaction, which belongs to no process', async () => {
    const server = await FaultServer.start();
    const admin = new Client({ connectionString: server.url });
    await admin.connect();
    await admin.query('ALTER SYSTEM SET max_prepared_transactions = 8');
    await admin.end();
    await server.restart('fast');
    const own = await TestDatabase.create(server.url);
    try {
      await own.query('CREATE TABLE orders AS SELECT 1 AS id');
      await own.createGate();
      const app = await start({}, own);
      const { locks } = managed(app);
      const refreshes = app.get(RefreshService);
      for (const { key } of Object.values(KEYS)) {
        await own.query('BEGIN');
        await own.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);
        await own.query(`PREPARE TRANSACTION 'it''s "${key}"'`);
      }
      await locks.look();
      await locks.look();
      expect(warnings).toHaveLength(3);
      for (const { key, says } of Object.values(KEYS)) {
        const lines = warnings.filter((each) => each.includes(says));
        expect(lines).toHaveLength(1);
        expect(lines[0]).toContain(`prepared transaction "it's \\"${key}\\"" (role "postgres")`);
        expect(lines[0]).toContain('ROLLBACK PREPARED');
      }
      const holder = {
        preparedTransaction: `it's "${refreshLockKey(NAME)}"`,
        role: 'postgres',
        isForeign: true,
        startedAt: expect.any(Date),
      };
      expect((await refreshes.status(Total)).lockedBy).toMatchObject([holder]);
      expect(await refreshes.running()).toMatchObject([{ view: VIEW, ...holder }]);
      // A NULL among the process ids must not hide other refreshes.
      const gate = await own.closeGate();
      await own.query(`ROLLBACK PREPARED 'it''s "${refreshLockKey(NAME)}"'`);
      const running = refreshes.refresh(Total);
      await gate.untilReached();
      expect(await refreshes.running()).toMatchObject([{ view: VIEW, isForeign: false }]);
      expect(await refreshes.cancel(Total)).toBe(true);
      await expect(running).rejects.toThrow(RefreshCancelledError);
      await gate.open();
    } finally {
      await Promise.all(apps.splice(0).map((app) => app.close()));
      await server.stop();
    }
  });
});
