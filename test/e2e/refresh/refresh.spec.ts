import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { getRepositoryToken } from '@nestjs/typeorm';
import { Index, type Repository, ViewColumn } from 'typeorm';
import {
  DuplicateRowsError,
  InsufficientPrivilegeError,
  MaterializedViewEntity,
  MaterializedViewError,
  RefreshCancelledError,
  RefreshLockError,
  RefreshService,
  RefreshTimeoutError,
  UnknownViewError,
  ViewMissingError,
  ViewQueryError,
} from '../../../lib/index.js';
import { REFRESH_CONDITIONS } from '../../../lib/postgres/refresh.sql.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { bootWith } from '../../support/test-app.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day, sum(amount) AS revenue FROM orders WHERE public.gate() GROUP BY day; -- by day`,
})
@Index(['day'], { unique: true })
class DailyRevenue {
  @ViewColumn() day!: string;
  @ViewColumn() revenue!: string;
}

@MaterializedViewEntity({
  name: 'order_total',
  expression: `SELECT sum(amount) AS total FROM orders`,
})
class OrderTotal {
  @ViewColumn() total!: string;
}

@MaterializedViewEntity({
  name: 'ratio',
  expression: `SELECT id, 100 / amount AS ratio FROM orders`,
})
@Index(['id'], { unique: true })
class Ratio {
  @ViewColumn() id!: number;
  @ViewColumn() ratio!: string;
}

const VIEW = 'Analytics eu.daily "Revenue"';

describe('refresh', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let refreshes: RefreshService;
  let revenue: Repository<DailyRevenue>;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, day text, amount numeric)`);
    await database.createGate();
  });

  const restart = async (options: { poolSize?: number } = {}): Promise<void> => {
    await app?.close();
    app = await bootWith(database, {
      views: [DailyRevenue, OrderTotal, Ratio],
      lockTimeout: '30s',
      ...options,
    });
    refreshes = app.get(RefreshService);
    revenue = app.get(getRepositoryToken(DailyRevenue));
  };

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS order_total, ratio CASCADE`);
    await database.query(`TRUNCATE orders RESTART IDENTITY`);
    await database.query(
      `INSERT INTO orders (day, amount) VALUES ('mon', 1), ('mon', 2), ('tue', 5)`,
    );
    await restart();
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  const history = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT run_id, view_name, trigger, outcome, mode, mode_reason, error_code, error_message
       FROM materialized_views.refresh_history WHERE trigger <> 'sync' ORDER BY started_at`,
    );

  it('stores new rows concurrently and records the success with them', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 7)`);
    expect(await revenue.findOneBy({ day: 'wed' })).toBeNull();

    const result = await refreshes.refresh(DailyRevenue);

    expect(result).toMatchObject({
      view: VIEW,
      outcome: 'refreshed',
      mode: 'concurrently',
      modeReason: 'unique_index',
      trigger: 'demand',
    });
    expect(result.finishedAt.getTime()).toBeGreaterThanOrEqual(result.startedAt.getTime());
    expect(result.durationMs).toBeGreaterThan(0);
    expect(await revenue.findOneBy({ day: 'wed' })).toEqual({ day: 'wed', revenue: '7' });
    expect(await history()).toEqual([
      expect.objectContaining({
        run_id: result.runId,
        outcome: 'refreshed',
        mode: 'concurrently',
        mode_reason: 'unique_index',
      }),
    ]);
    const [state] = await database.query(
      `SELECT last_run_id, last_success_at, watermark IS NOT NULL AS has_watermark
       FROM materialized_views.view_state WHERE view_name = 'daily "Revenue"'`,
    );
    expect(state).toEqual({
      last_run_id: result.runId,
      last_success_at: result.finishedAt,
      has_watermark: true,
    });
  });

  it('counts the rows that it inserted and deleted', async () => {
    for (const changed of [1, 2, 0]) {
      await database.query(
        `UPDATE orders SET amount = amount + 1
         WHERE id IN (SELECT min(id) FROM orders GROUP BY day LIMIT $1)`,
        [changed],
      );
      expect(await refreshes.refresh(DailyRevenue)).toMatchObject({
        insertedCount: changed,
        deletedCount: changed,
      });
      expect(await refreshes.refresh(OrderTotal)).toMatchObject({
        insertedCount: 1,
        deletedCount: 0,
      });
    }
  });

  it('finds the view by its name too', async () => {
    expect(await refreshes.refresh('public.order_total')).toMatchObject({ outcome: 'refreshed' });
    await expect(refreshes.refresh('order_total')).rejects.toThrow(UnknownViewError);
    await expect(refreshes.refresh(TestDatabase as never)).rejects.toThrow(
      /TestDatabase is not a registered materialized view\. .*"public\.order_total"/,
    );
    await expect(refreshes.refresh(OrderTotal, { dataSource: 'other' })).rejects.toThrow(
      /No materialized view is registered in data source "other"\. .*: "default"\./,
    );
  });

  it('blocks, and says why, without a usable unique index', async () => {
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({
      mode: 'blocking',
      modeReason: 'no_unique_index',
    });
    await database.query(`CREATE UNIQUE INDEX partial ON order_total (total) WHERE total > 0`);
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({ modeReason: 'no_unique_index' });
    await database.query(`CREATE UNIQUE INDEX "full" ON order_total (total)`);
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({ modeReason: 'unique_index' });
    await database.query(
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"full"'::regclass`,
    );
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({ modeReason: 'no_unique_index' });
  });

  it('blocks, and says why, when the view is unpopulated', async () => {
    await database.query(`REFRESH MATERIALIZED VIEW ratio WITH NO DATA`);
    expect(await refreshes.refresh(Ratio)).toMatchObject({
      mode: 'blocking',
      modeReason: 'unpopulated',
    });
    expect(await refreshes.refresh(Ratio)).toMatchObject({ mode: 'concurrently' });
  });

  it('is busy at once, even if no connection is free', async () => {
    await restart({ poolSize: 1 });
    const gate = await database.closeGate();
    const running = refreshes.refresh(DailyRevenue);
    await gate.untilReached();
    const waiting = refreshes.refresh(OrderTotal);
    for (const view of [DailyRevenue, OrderTotal]) {
      const result = await refreshes.refresh(view, { onBusy: 'skip' });
      expect(result).toMatchObject({ outcome: 'skipped', reason: 'busy', trigger: 'demand' });
    }
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
    expect(await waiting).toMatchObject({ outcome: 'refreshed' });
    expect(await history()).toHaveLength(2);
  });

  it('reports and records a failure while another refresh has the only connection', async () => {
    await restart({ poolSize: 1 });
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 0)`);
    const gate = await database.closeGate();
    const failing = refreshes.refresh(Ratio).catch((error: unknown) => error);
    const running = refreshes.refresh(DailyRevenue);
    expect(await failing).toBeInstanceOf(ViewQueryError);
    expect((await history()).map((run) => run.outcome)).toEqual(['failed']);
    await gate.open();
    expect(await running).toMatchObject({ outcome: 'refreshed' });
  });

  it('reports a failure even if the history is locked', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 0)`);
    const other = await database.session();
    await other.query('BEGIN; LOCK TABLE materialized_views.refresh_history');
    await expect(refreshes.refresh(Ratio)).rejects.toThrow(ViewQueryError);
    await other.end();
  });

  it('records a failure even if transactions are read-only by default', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 0)`);
    await database.query(`ALTER DATABASE ${database.name} SET default_transaction_read_only = on`);
    try {
      await restart();
      await expect(refreshes.refresh(Ratio)).rejects.toThrow(ViewQueryError);
      expect((await history()).map((run) => run.outcome)).toEqual(['failed']);
    } finally {
      await database.query(`ALTER DATABASE ${database.name} RESET ALL`);
    }
  });

  it('names its own tables for a missing function, which a boot creates again', async () => {
    await database.query(`DROP FUNCTION materialized_views.${REFRESH_CONDITIONS.name}`);
    const failure = await refreshes.refresh(OrderTotal).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'MV_REFRESH_FAILED', cause: { code: '42883' } });
    expect(String(failure)).toContain("the library's own tables are missing or damaged");
    await restart();
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({ outcome: 'refreshed' });
  });

  it.each(['view_state', 'refresh_history', 'installation'])(
    'names its own tables for a missing %s, which a boot creates again',
    async (table) => {
      await database.query(`DROP TABLE materialized_views.${table}`);
      const failure = await refreshes.refresh(OrderTotal).catch((error: unknown) => error);
      if (table !== 'installation') {
        expect(failure).toMatchObject({ code: 'MV_REFRESH_FAILED', cause: { code: '42P01' } });
        expect(String(failure)).toContain("the library's own tables are missing or damaged");
      }
      await restart();
      expect(await refreshes.refresh(OrderTotal)).toMatchObject({ outcome: 'refreshed' });
    },
  );

  it('refuses wrong arguments', async () => {
    await expect(refreshes.refresh(undefined as never)).rejects.toThrow(UnknownViewError);
    await expect(refreshes.refresh(undefined as never)).rejects.toThrow(/circular import/);
    await expect(refreshes.refresh(7 as never)).rejects.toThrow(/7 is not a registered/);
    await expect(refreshes.refresh(OrderTotal, null as never)).rejects.toThrow(
      /expected `options` to be an object, got null/,
    );
    await expect(refreshes.refresh(OrderTotal, { onBusy: 'queue' as never })).rejects.toThrow(
      /expected `onBusy` to be 'join', 'wait', 'skip' or 'fail', got "queue"/,
    );
    await expect(refreshes.refresh(OrderTotal, { force: true } as never)).rejects.toThrow(
      /expected `force` to be absent/,
    );
    await expect(refreshes.refresh(OrderTotal, { mode: 'swap', withData: false })).rejects.toThrow(
      /expected `withData` to be true/,
    );
    await expect(refreshes.refresh(OrderTotal, { timeout: '5' as never })).rejects.toThrow(
      /expected `timeout` to be a duration/,
    );
    await expect(refreshes.refresh(OrderTotal, { dataSource: 5 as never })).rejects.toThrow(
      MaterializedViewError,
    );
    expect(await history()).toEqual([]);
  });

  it('returns at once with "busy" while the view is being refreshed elsewhere', async () => {
    const other = await database.session();
    await other.query('BEGIN');
    const key = refreshLockKey({ schema: 'Analytics eu', name: 'daily "Revenue"' });
    await other.query('SELECT pg_advisory_xact_lock($1::bigint)', [key]);

    const result = await refreshes.refresh(DailyRevenue, { onBusy: 'skip' });
    expect(result).toMatchObject({ view: VIEW, outcome: 'skipped', reason: 'busy' });
    expect(await history()).toEqual([]);

    await other.end();
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM ${ADVISORY_LOCKS})`);
    expect(await refreshes.refresh(DailyRevenue)).toMatchObject({ outcome: 'refreshed' });
  });

  it('lets readers read during a concurrent refresh, and other views be refreshed', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('mon', 10)`);
    const gate = await database.closeGate();
    const refresh = refreshes.refresh(DailyRevenue);
    await gate.untilReached();

    expect(await revenue.findOneBy({ day: 'mon' })).toEqual({ day: 'mon', revenue: '3' });
    const busy = await refreshes.refresh(DailyRevenue, { onBusy: 'skip' });
    expect(busy).toMatchObject({ reason: 'busy' });
    expect(await refreshes.refresh(OrderTotal)).toMatchObject({ outcome: 'refreshed' });

    await gate.open();
    expect(await refresh).toMatchObject({ outcome: 'refreshed', mode: 'concurrently' });
    expect(await revenue.findOneBy({ day: 'mon' })).toEqual({ day: 'mon', revenue: '13' });
  });

  it('keeps the old rows when the query fails', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 0)`);
    const failure = await refreshes.refresh(Ratio).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ViewQueryError);
    expect(failure).toMatchObject({
      code: 'MV_VIEW_QUERY_FAILED',
      view: 'public.ratio',
      cause: { code: '22012' },
    });
    expect(String(failure)).toContain('The view was not changed.');
    expect(await database.query('SELECT count(*)::int FROM ratio')).toEqual([{ count: 3 }]);
    expect(await history()).toEqual([
      expect.objectContaining({ outcome: 'failed', error_code: '22012', mode: null }),
    ]);
  });

  it('keeps row data out of messages and the history', async () => {
    await database.query(`CREATE TABLE people AS SELECT '1' AS secret`);
    await database.query(`DROP MATERIALIZED VIEW ratio`);
    await database.query(`CREATE MATERIALIZED VIEW ratio AS SELECT secret::int FROM people`);
    await database.query(`INSERT INTO people VALUES ('SSN-123')`);
    const failure = await refreshes.refresh(Ratio).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: 'MV_VIEW_QUERY_FAILED', cause: { code: '22P02' } });
    expect(String(failure)).not.toContain('SSN-123');
    expect(JSON.stringify(await history())).not.toContain('SSN-123');
    await database.query(`DROP TABLE people CASCADE`);
  });

  it('distinguishes failures by SQLSTATE', async () => {
    await database.query(`CREATE TABLE twice AS SELECT 1 AS id`);
    await database.query(`DROP MATERIALIZED VIEW ratio`);
    await expect(refreshes.refresh(Ratio)).rejects.toThrow(ViewMissingError);
    await database.query(`CREATE VIEW ratio AS SELECT 1 AS id`);
    await expect(refreshes.refresh(Ratio)).rejects.toThrow(/is not a materialized view/);
    await database.query(`DROP VIEW ratio`);
    await database.query(`CREATE MATERIALIZED VIEW ratio AS SELECT id FROM twice`);
    await database.query(`CREATE UNIQUE INDEX ON ratio (id)`);
    await database.query(`INSERT INTO twice VALUES (1)`);
    const duplicate = await refreshes.refresh(Ratio).catch((error: unknown) => error);
    expect(duplicate).toBeInstanceOf(DuplicateRowsError);
    const [row] = await history().then((rows) => rows.slice(-1));
    expect(JSON.stringify(row)).not.toContain('(1)');
    await database.query(`DROP MATERIALIZED VIEW ratio`);
    await database.query(`DROP TABLE twice`);
  });

  it('says that a privilege is missing', async () => {
    const role = `owner_${database.name}`;
    await database.query(`CREATE ROLE ${role}`);
    await database.query(`ALTER MATERIALIZED VIEW ratio OWNER TO ${role}`);
    await expect(refreshes.refresh(Ratio)).rejects.toThrow(InsufficientPrivilegeError);
    await database.query(`DROP OWNED BY ${role} CASCADE`);
    await database.query(`DROP ROLE ${role}`);
  });

  it('gives up on a locked view after lockTimeout, and on a slow one after statementTimeout', async () => {
    await app?.close();
    app = await bootWith(database, {
      views: [DailyRevenue, OrderTotal],
      lockTimeout: 50,
      statementTimeout: '2s',
    });
    refreshes = app.get(RefreshService);
    const reader = await database.session();
    await reader.query('BEGIN');
    await reader.query('SELECT * FROM order_total');
    await expect(refreshes.refresh(OrderTotal)).rejects.toThrow(RefreshLockError);
    await reader.end();

    await database.query(
      `CREATE OR REPLACE FUNCTION public.gate() RETURNS boolean LANGUAGE sql VOLATILE
       AS 'SELECT pg_catalog.pg_sleep(60) IS NOT NULL'`,
    );
    const slow = await refreshes.refresh(DailyRevenue).catch((error: unknown) => error);
    await database.query('DROP FUNCTION public.gate CASCADE');
    await database.createGate();
    expect(slow).toBeInstanceOf(RefreshTimeoutError);
    // A lock may be released soon, so that refresh was retried three times. A slow query stays slow.
    expect((await history()).map((run) => run.outcome)).toEqual([
      ...Array<string>(4).fill('failed'),
      'timeout',
    ]);
  });

  // The server's clock may step, so its timeout can come much too early by this process's clock.
  it.each([
    ['statement timeout', RefreshTimeoutError],
    ['user request', RefreshCancelledError],
  ])('trusts the reason of a server that cancels early "due to %s"', async (reason, ErrorType) => {
    await database.query(
      `CREATE OR REPLACE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS
       $$BEGIN RAISE 'canceling statement due to ${reason}' USING ERRCODE = '57014'; END$$`,
    );
    const error = await refreshes.refresh(DailyRevenue).catch((thrown: unknown) => thrown);
    await database.query('DROP FUNCTION public.gate CASCADE');
    await database.createGate();
    expect(error).toBeInstanceOf(ErrorType);
  });

  it('says so when it was cancelled in the database', async () => {
    const gate = await database.closeGate();
    const refresh = refreshes.refresh(DailyRevenue).catch((error: unknown) => error);
    await gate.untilReached();
    await database.query(`SELECT pg_cancel_backend(pid) FROM ${ADVISORY_LOCKS} WHERE NOT granted`);
    expect(await refresh).toBeInstanceOf(RefreshCancelledError);
    await gate.open();
    expect((await history()).map((run) => run.outcome)).toEqual(['cancelled']);
  });

  it('tries again when its backend was terminated', async () => {
    const gate = await database.closeGate();
    const refresh = refreshes.refresh(DailyRevenue);
    await gate.untilReached();
    await database.query(
      `SELECT pg_terminate_backend(pid) FROM ${ADVISORY_LOCKS} WHERE NOT granted`,
    );
    await gate.open();
    expect(await refresh).toMatchObject({ outcome: 'refreshed', attempt: 2 });
    expect((await history()).map((run) => run.outcome)).toEqual(['failed', 'refreshed']);
    // The attempt failed, the refresh did not.
    expect((await refreshes.status(DailyRevenue)).lastFailure).toBeUndefined();
  });

  it('never takes a connection of the application, and closes its own when idle', async () => {
    await app?.close();
    app = await bootWith(database, { views: [DailyRevenue, OrderTotal], lockTimeout: '30s' });
    refreshes = app.get(RefreshService);
    const { manager } = app.get<Repository<DailyRevenue>>(getRepositoryToken(DailyRevenue));
    const pool = (
      manager.connection.driver as unknown as { master: { totalCount: number; idleCount: number } }
    ).master;
    const gate = await database.closeGate();
    const refresh = refreshes.refresh(DailyRevenue);
    await gate.untilReached();
    expect(pool.idleCount).toBe(pool.totalCount);
    await gate.open();
    await refresh;
    // The application's idle sessions may be closed by then, too.
    const sessions = `SELECT count(*)::int AS count FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid()`;
    await database.until(`SELECT FROM (${sessions}) s WHERE s.count <= ${pool.totalCount}`);
  });
});
