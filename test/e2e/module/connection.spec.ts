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
import { ScheduleModule } from '@nestjs/schedule';
import type { TestingModule } from '@nestjs/testing';
import { type QueryResultRow, types } from 'pg';
import { Index, ViewColumn } from 'typeorm';
import {
  ConnectionFailedError,
  MaterializedViewEntity,
  MaterializedViewsModule,
  NotPrimaryError,
  RefreshService,
  StatusError,
} from '../../../lib/index.js';
import { refreshLockKey, syncLockKey } from '../../../lib/postgres/advisory-lock.js';
import { selectLockHeldBy } from '../../../lib/postgres/advisory-lock.sql.js';
import { Database } from '../../../lib/postgres/database.js';
import { selectRun } from '../../../lib/postgres/history.sql.js';
import { LibraryClient } from '../../../lib/postgres/library-client.js';
import { refreshChannel } from '../../../lib/refresh/refresh-events.js';
import { Network } from '../../support/network.js';
import { startStandby } from '../../support/standby.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { ADVISORY_LOCKS, type ClosedGate, TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({
  name: 'far_away',
  expression: 'SELECT 1 AS id WHERE public.gate()',
  refresh: { cron: '0 0 1 1 *' },
})
@Index(['id'], { unique: true })
class FarAway {
  @ViewColumn() id!: number;
}

type Options = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

const TIMESTAMPTZ = 1184;

/** The first connection is the application's own. */
const APPLICATION_CONNECTIONS = 1;

/** How the library looks up the outcome of a lost refresh: the holder of its lock, and its row. */
const LOOK_UPS = [selectLockHeldBy('', 0).text, selectRun('materialized_views', '').text];

/**
 * Calls `work` after `count` of the statements have been answered, before the next one is sent.
 *
 * @returns a function that ends this
 */
function afterStatements(texts: string[], count: number, work: () => Promise<unknown>): () => void {
  const client = LibraryClient.prototype as unknown as {
    query: (statement: { text?: string }) => Promise<unknown>;
  };
  const { query } = client;
  let answered = 0;
  const spy = jest.spyOn(client, 'query').mockImplementation(async function (this: unknown, sent) {
    const answer = await query.call(this, sent);
    if (texts.includes(sent.text ?? '') && ++answered === count) {
      await work();
    }
    return answer;
  });
  return () => spy.mockRestore();
}

/**
 * Calls `work` when an attempt at a refresh has failed.
 *
 * @returns a function that ends this
 */
function onFailedAttempt(work: () => Promise<unknown>): () => void {
  const listener = (): void => void work();
  refreshChannel.error.subscribe(listener);
  return () => refreshChannel.error.unsubscribe(listener);
}

describe('the connection', () => {
  let database: TestDatabase;
  let network: Network;
  let app: TestingModule | undefined;
  let gate: ClosedGate | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS far_away`);
    network = await Network.to(database.url);
  });

  afterEach(async () => {
    await gate?.open();
    gate = undefined;
    await app?.close();
    app = undefined;
    await network.stop();
  });

  afterAll(async () => {
    await database.drop();
  });

  const start = async (url: string, options: Options = {}): Promise<RefreshService> => {
    const usual = { url, autoLoadEntities: false, entities: [FarAway] } as object;
    app = await boot(
      typeOrm(database, usual),
      ScheduleModule.forRoot(),
      MaterializedViewsModule.forRoot({
        views: [FarAway],
        scheduling: false,
        lockTimeout: '60s',
        ...options,
      }),
    );
    return app.get(RefreshService);
  };

  /** Resolves when a refresh is running and waits at the gate. Its outcome may be an error. */
  const refreshUntilGate = async (
    refreshes: RefreshService,
  ): Promise<{ outcome: Promise<unknown> }> => {
    gate = await database.closeGate();
    const outcome = refreshes.refresh(FarAway).catch((error: unknown) => error);
    await gate.untilReached();
    return { outcome };
  };

  const outcomes = async (): Promise<unknown[]> => {
    const rows = await database.query<{ outcome: string }>(
      `SELECT outcome FROM materialized_views.refresh_history WHERE trigger = 'demand' ORDER BY finished_at`,
    );
    return rows.map((row) => row.outcome);
  };

  /** Resolves when a failure has been recorded. */
  const failure = async (): Promise<QueryResultRow | undefined> => {
    const [row] = await database.until(
      `SELECT * FROM materialized_views.refresh_history WHERE outcome = 'failed'`,
    );
    return row;
  };

  const version = async (): Promise<number> => {
    const [row] = await database.query(
      `SELECT current_setting('server_version_num')::int AS version`,
    );
    return Number(row?.version);
  };

  describe('that goes silent', () => {
    it('does not block a refresh for ever', async () => {
      const refreshes = await start(network.url, { statementTimeout: '2s', lockTimeout: '2s' });
      const { outcome } = await refreshUntilGate(refreshes);
      network.goSilent({ except: APPLICATION_CONNECTIONS, newOnesToo: false });
      expect(await failure()).toMatchObject({ error_code: 'SESSION_LOST', attempt: 1 });
      await gate?.open();
      expect(await outcome).toMatchObject({ outcome: 'refreshed', attempt: 2 });
    });

    it('does not block the stopping application either', async () => {
      const refreshes = await start(network.url, { statementTimeout: '1h', shutdownTimeout: 50 });
      const { outcome } = await refreshUntilGate(refreshes);
      network.goSilent({ except: APPLICATION_CONNECTIONS, newOnesToo: true });
      await app?.close();
      app = undefined;
      expect(await outcome).toBeInstanceOf(ConnectionFailedError);
    });
  });

  describe('that does not answer, old or new,', () => {
    const ASKS: [string, (refreshes: RefreshService) => Promise<unknown>][] = [
      ['status', (refreshes) => refreshes.status(FarAway, { timeout: 200 })],
      ['statusAll', (refreshes) => refreshes.statusAll({ timeout: '0.2s' })],
      ['history', (refreshes) => refreshes.history(FarAway, { timeout: 200 })],
      ['running', (refreshes) => refreshes.running({ timeout: 200 })],
    ];

    it.each(ASKS)(
      'makes %s fail after its timeout, even behind others that wait',
      async (_, ask) => {
        const refreshes = await start(network.url);
        await refreshes.refresh(FarAway);
        network.goSilent({ except: APPLICATION_CONNECTIONS, newOnesToo: true });
        const settled: string[] = [];
        const patient = refreshes.pause(FarAway).catch(() => settled.push('patient'));
        const error = await ask(refreshes).catch((cause: unknown) => cause);
        settled.push('impatient');
        expect(error).toBeInstanceOf(StatusError);
        expect(String(error)).toContain('within 200 ms');
        expect((error as StatusError).hint).toContain('`timeout`');
        expect(settled).toEqual(['impatient']);
        network.recover();
        await patient;
      },
    );

    it('makes everything that waits fail together, not one after the other', async () => {
      const refreshes = await start(network.url);
      await refreshes.refresh(FarAway);
      network.goSilent({ except: APPLICATION_CONNECTIONS, newOnesToo: true });
      const opened = network.linkCount;
      const errors = await Promise.all(
        Array.from({ length: 5 }, () => refreshes.pause(FarAway).catch((error: unknown) => error)),
      );
      errors.forEach((error) => expect(error).toBeInstanceOf(ConnectionFailedError));
      expect(network.linkCount - opened).toBe(1);
    });
  });

  it('holds the view for a few seconds where its process stalls before the refresh', async () => {
    const refreshes = await start(database.url);
    const stall = (): void =>
      void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 8_000);
    const onStart = (): void => {
      refreshChannel.start.unsubscribe(onStart);
      stall();
    };
    refreshChannel.start.subscribe(onStart);
    expect(await refreshes.refresh(FarAway)).toMatchObject({ outcome: 'refreshed', attempt: 2 });
  });

  describe('that is lost during a refresh', () => {
    it('is waited for until the server knows, and recorded', async () => {
      const refreshes = await start(network.url);
      const { outcome } = await refreshUntilGate(refreshes);
      network.cut({ except: APPLICATION_CONNECTIONS });
      if ((await version()) < 140_000) {
        // Before PostgreSQL 14, a server does not notice a lost client while it waits.
        await gate?.open();
      }
      expect(await failure()).toMatchObject({ error_code: 'SESSION_LOST', attempt: 1 });
      await gate?.open();
      expect(await outcome).toMatchObject({ outcome: 'refreshed', attempt: 2 });
      expect(await outcomes()).toEqual(['failed', 'refreshed']);
    });

    it('is not taken for the refresh that comes after it', async () => {
      const refreshes = await start(network.url);
      const { outcome } = await refreshUntilGate(refreshes);
      const next = await database.session();
      await next.query('BEGIN');
      const key = refreshLockKey({ schema: 'public', name: 'far_away' });
      const nextHasLock = next.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);
      await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted HAVING count(*) = 2`);
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM ${ADVISORY_LOCKS}
         WHERE granted AND pid = ANY (SELECT pid FROM ${ADVISORY_LOCKS} WHERE NOT granted)`,
      );
      await nextHasLock;
      // The library finds out that the first refresh has ended without waiting for the lock of the next.
      const [seen] = await database.until<{ waiting_count: number }>(
        `SELECT waiting_count
         FROM (SELECT count(*)::int AS waiting_count FROM ${ADVISORY_LOCKS} WHERE NOT granted) AS waiting
         WHERE waiting_count > 0
           OR EXISTS (SELECT FROM materialized_views.refresh_history WHERE outcome = 'failed')`,
      );
      expect(seen).toEqual({ waiting_count: 0 });
      expect(await failure()).toMatchObject({ attempt: 1 });
      await gate?.open();
      await next.end();
      expect(await outcome).toMatchObject({ outcome: 'refreshed', attempt: 2 });
      expect(await outcomes()).toEqual(['failed', 'refreshed']);
    });

    it.each<[string, (work: () => Promise<unknown>) => () => void]>([
      ['goes on after it was looked for', onFailedAttempt],
      ['is committed while it is looked for', (work) => afterStatements(LOOK_UPS, 2, work)],
    ])('hides no refresh that %s', async (_, when) => {
      const refreshes = await start(network.url);
      const { outcome } = await refreshUntilGate(refreshes);
      const restore = when(async () => {
        await gate?.open();
        await database.until(
          `SELECT FROM materialized_views.refresh_history WHERE trigger = 'demand' AND outcome = 'refreshed'`,
        );
      });
      try {
        network.strand({ except: APPLICATION_CONNECTIONS });
        expect(await outcome).not.toBeInstanceOf(Error);
      } finally {
        restore();
      }
      expect(new Set(await outcomes())).toEqual(new Set(['refreshed']));
    });

    it('does not hide that the refresh was committed', async () => {
      const refreshes = await start(network.url);
      network.cutAtCommit();
      expect(await refreshes.refresh(FarAway)).toMatchObject({
        outcome: 'refreshed',
        mode: 'concurrently',
      });
      expect(await outcomes()).toEqual(['refreshed']);
    });
  });

  it('ends no process when it ends without a listener', async () => {
    const client = new LibraryClient({ connectionString: database.directUrl });
    await client.connect();
    const ended = new Promise((resolve) => client.once('end', resolve));
    const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await database.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
    await ended;
    await expect(client.query('SELECT 1')).rejects.toThrow();
  });

  it('recognizes a COMMIT that the server turned into a ROLLBACK', async () => {
    const own = new Database({
      connection: { connectionString: database.url },
      poolSize: 1,
      stateSchema: 'materialized_views',
      onConnectionError: () => undefined,
    });
    const work = own.transaction({ lockTimeoutMs: 0, statementTimeoutMs: 0 }, async (session) => {
      await session.query({ text: 'SELECT 1 / 0' }).catch(() => undefined);
    });
    await expect(work).rejects.toMatchObject({ code: '25P02' });
    await own.close();
  });

  describe('as the application has configured it', () => {
    afterEach(async () => {
      await database.query(`ALTER DATABASE ${database.name} RESET ALL`);
    });

    it('may parse dates and times in its own way', async () => {
      await database.query(`ALTER DATABASE ${database.name} SET datestyle = 'German'`);
      const parse = types.getTypeParser(TIMESTAMPTZ) as (text: string) => unknown;
      types.setTypeParser(TIMESTAMPTZ, (text: string) => text);
      try {
        const refreshes = await start(database.url, { scheduling: true, sweepInterval: 20 });
        const result = await refreshes.refresh(FarAway);
        const [row] = await database.query<{ is_same: boolean }>(
          `SELECT started_at BETWEEN $2::timestamptz AND $2::timestamptz + interval '1 ms'
              AND abs(extract(epoch FROM finished_at - $3::timestamptz)) < 0.0011 AS is_same
           FROM materialized_views.refresh_history WHERE run_id = $1`,
          [result.runId, result.startedAt.toISOString(), result.finishedAt.toISOString()],
        );
        expect(row).toEqual({ is_same: true });
        await database.query(`UPDATE materialized_views.view_state SET last_tick = '2020-01-01'`);
        // A process that rests until the next tick does not notice the missed one, so it is restarted.
        await app?.close();
        await start(database.url, { scheduling: true, sweepInterval: 20 });
        await database.until(
          `SELECT FROM materialized_views.refresh_history
           WHERE tick IS NOT NULL AND outcome = 'refreshed'`,
        );
      } finally {
        types.setTypeParser(TIMESTAMPTZ, parse);
      }
    });

    it('may give up on its own queries after a time', async () => {
      const refreshes = await start(`${database.url}?query_timeout=500`);
      const { outcome } = await refreshUntilGate(refreshes);
      await database.until(
        `SELECT FROM pg_stat_activity WHERE query LIKE 'REFRESH%' AND state = 'active'
         AND datname = current_database() AND clock_timestamp() > query_start + interval '700 ms'`,
      );
      await gate?.open();
      expect(await outcome).toMatchObject({ outcome: 'refreshed' });
    });

    it('may have its transactions see what there was at their beginning', async () => {
      await database.query(
        `ALTER DATABASE ${database.name} SET default_transaction_isolation = 'repeatable read'`,
      );
      const other = await database.session();
      await other.query('BEGIN ISOLATION LEVEL READ COMMITTED');
      await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [syncLockKey()]);
      const starting = start(database.url);
      await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted`);
      await other.query('CREATE MATERIALIZED VIEW far_away AS SELECT 1 AS id WHERE public.gate()');
      await other.query('COMMIT');
      await other.end();
      // The boot finds the view that was created while it waited for its lock.
      expect(await (await starting).refresh(FarAway)).toMatchObject({ outcome: 'refreshed' });
    });

    it('may limit its own transactions', async () => {
      if ((await version()) < 170_000) {
        return;
      }
      await database.query(`ALTER DATABASE ${database.name} SET transaction_timeout = '500ms'`);
      const refreshes = await start(database.url);
      const { outcome } = await refreshUntilGate(refreshes);
      await database.until(
        `SELECT FROM pg_stat_activity WHERE query LIKE 'REFRESH%' AND state = 'active'
         AND datname = current_database() AND clock_timestamp() > xact_start + interval '700 ms'`,
      );
      await gate?.open();
      expect(await outcome).toMatchObject({ outcome: 'refreshed' });
    });
  });

  it('to a standby is recognized', async () => {
    const standby = await startStandby();
    try {
      const refreshes = await start(standby.url, { synchronize: false });
      const error = await refreshes.refresh(FarAway).catch((failure: unknown) => failure);
      expect(error).toBeInstanceOf(NotPrimaryError);
      expect(error).toMatchObject({ isTransient: true });
      await app?.close();
      app = undefined;
    } finally {
      await standby.stop();
    }
  });
});
