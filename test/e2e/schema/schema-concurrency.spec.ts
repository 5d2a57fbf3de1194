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
import { catalog } from '../../support/catalog.js';
import { Replica, type ReplicaOptions } from '../../support/replica-process.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';

const OLD = 'SELECT id FROM items';
const NEW = 'SELECT id FROM items WHERE id > 1';
const GATED = `${NEW} AND public.gate()`;

// Six processes that start at once take almost a minute on a busy machine with two cores.
jest.setTimeout(180_000);

/** Uses separate processes, like the pods of a deployment. */
describe('processes that boot at once', () => {
  let database: TestDatabase;
  let replicas: Replica[] = [];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views CASCADE');
    await database.query('DROP TABLE IF EXISTS items CASCADE');
    await database.query('CREATE TABLE items AS SELECT generate_series(1, 3) AS id');
  });

  afterEach(async () => {
    await Promise.all(replicas.map((replica) => replica.kill()));
    replicas = [];
  });

  afterAll(async () => {
    await database.drop();
  });

  function start(options: ReplicaOptions): Replica {
    const replica = Replica.start(database.url, options);
    replicas.push(replica);
    return replica;
  }

  /** Boots one process, stops it, and expects no errors. */
  async function bootOnce(options: ReplicaOptions): Promise<void> {
    const replica = start(options);
    await replica.until('booted');
    await replica.stop();
    expect(replica.stderr).toBe('');
  }

  const oids = (): Promise<unknown[]> =>
    database.query(
      `SELECT relname, oid FROM pg_class WHERE relname IN ('ticking', 'ticking_total') ORDER BY 1`,
    );

  const runs = (): Promise<unknown[]> =>
    database.query(
      `SELECT view_name, trigger, mode_reason, count(*)::int FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
    );

  const leftovers = (): Promise<unknown[]> =>
    database.query(
      `SELECT relname FROM pg_class WHERE relname LIKE 'mv\\_build\\_%'
       UNION ALL SELECT stxname FROM pg_statistic_ext WHERE stxname LIKE 'mv\\_build\\_%'`,
    );

  async function decorate(): Promise<void> {
    await database.query('CREATE INDEX "by hand" ON ticking (id DESC)');
    await database.query('GRANT SELECT ON ticking, ticking_total TO pg_monitor');
    await database.query(`COMMENT ON COLUMN ticking.id IS 'by hand'`);
    await database
      .query(`CREATE STATISTICS "hand made" (ndistinct) ON id, (id + 1) FROM ticking`)
      // Statistics on expressions need PostgreSQL 14.
      .catch(() => undefined);
    await database.query(
      `UPDATE materialized_views.view_state SET paused_at = '2026-01-01 00:00Z' WHERE view_name = 'ticking'`,
    );
  }

  /** Changes by hand: the catalog without the definition that a release changes, and which views are paused. */
  async function surroundings(): Promise<unknown> {
    const { views, ...others } = await catalog(database);
    return {
      ...others,
      states: await database.query(
        'SELECT view_name, paused_at FROM materialized_views.view_state ORDER BY 1',
      ),
      views: (views as Record<string, unknown>[]).map((view) => ({
        ...view,
        definition: view.name === 'ticking' ? undefined : view.definition,
      })),
    };
  }

  it('change a definition once, six of them', async () => {
    await bootOnce({ expression: OLD });
    await decorate();
    const [before, around] = [await oids(), await surroundings()];
    const gate = await database.closeGate();
    Array.from({ length: 6 }, () => start({ expression: GATED }));
    await gate.untilReached();
    // The other five wait for the lock; none of them found the change already done.
    await database.until(
      `SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted AND objid <> 4711 HAVING count(*) = 5`,
    );
    expect(await oids()).toEqual(before);
    await gate.open();
    await Promise.all(replicas.map((replica) => replica.until('booted')));
    const after = await oids();
    expect(after).not.toEqual(before);
    expect(await runs()).toEqual([
      { view_name: 'ticking', trigger: 'sync', mode_reason: 'created', count: 1 },
      { view_name: 'ticking', trigger: 'sync', mode_reason: 'definition_changed', count: 1 },
      { view_name: 'ticking_total', trigger: 'sync', mode_reason: 'created', count: 1 },
      { view_name: 'ticking_total', trigger: 'sync', mode_reason: 'definition_changed', count: 1 },
    ]);
    expect(await database.query('SELECT total FROM ticking_total')).toEqual([{ total: 2 }]);
    expect(await surroundings()).toEqual(around);
    expect(replicas.map((replica) => replica.stderr).join('')).toBe('');
    expect(await leftovers()).toEqual([]);
    // Another process finds nothing to do.
    await bootOnce({ expression: GATED });
    expect(await oids()).toEqual(after);
  });

  it('wait for a running refresh, and none fails', async () => {
    await bootOnce({ expression: GATED });
    const before = await oids();
    const gate = await database.closeGate();
    const refreshing = start({ expression: GATED, refresh: true });
    await gate.untilReached();
    const changing = start({ expression: OLD, module: { lockTimeout: '1s' } });
    await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted AND objid <> 4711`);
    // Readers do not wait: the change waits for the advisory lock, not for the view.
    expect(await database.query('SELECT id FROM ticking ORDER BY id')).toEqual([
      { id: 2 },
      { id: 3 },
    ]);
    expect(await oids()).toEqual(before);
    await gate.open();
    await Promise.all([refreshing.until('refreshed'), changing.until('booted')]);
    expect(await database.query('SELECT total FROM ticking_total')).toEqual([{ total: 3 }]);
    expect(await oids()).not.toEqual(before);
    expect(refreshing.stderr + changing.stderr).toBe('');
    expect(await runs()).toContainEqual({
      view_name: 'ticking',
      trigger: 'demand',
      mode_reason: expect.any(String),
      count: 1,
    });
  });

  it('give up after syncTimeout if the refresh does not end', async () => {
    await bootOnce({ expression: GATED });
    const before = await catalog(database);
    const gate = await database.closeGate();
    const refreshing = start({ expression: GATED, refresh: true });
    await gate.untilReached();
    const changing = start({ expression: OLD, module: { syncTimeout: '500ms' } });
    await expect(changing.until('booted')).rejects.toThrow(/SYNC_LOCK_TIMEOUT|SyncLockTimeout/);
    expect(await catalog(database)).toEqual(before);
    await gate.open();
    await refreshing.until('refreshed');
  });

  it('take over from one that was killed while it built, and nothing is left over', async () => {
    await bootOnce({ expression: OLD });
    await decorate();
    const [before, around] = [await catalog(database), await surroundings()];
    const gate = await database.closeGate();
    const killed = start({ expression: GATED });
    await gate.untilReached();
    const [backend] = await database.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE application_name = $1
         AND pid IN (SELECT pid FROM ${ADVISORY_LOCKS} WHERE NOT granted)`,
      [`replica ${killed.pid}`],
    );
    const next = start({ expression: GATED });
    await database.until(
      `SELECT FROM ${ADVISORY_LOCKS} JOIN pg_stat_activity USING (pid)
       WHERE NOT granted AND application_name = $1`,
      [`replica ${next.pid}`],
    );
    await killed.kill();
    expect(await catalog(database)).toEqual(before);
    await gate.open();
    await next.until('booted');
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, [
      backend?.pid,
    ]);
    expect(await leftovers()).toEqual([]);
    expect(await surroundings()).toEqual(around);
    expect(await database.query('SELECT total FROM ticking_total')).toEqual([{ total: 2 }]);
    expect(next.stderr).toBe('');
    const [changes] = await database.query(
      `SELECT count(*)::int FROM materialized_views.refresh_history
       WHERE view_name = 'ticking' AND mode_reason = 'definition_changed'`,
    );
    expect(changes).toEqual({ count: 1 });
  });

  it('of two releases with versions never undo each other', async () => {
    await bootOnce({ expression: OLD, version: 1 });
    await bootOnce({ expression: NEW, version: 2 });
    const after = await oids();
    for (const release of [
      { expression: OLD, version: 1 },
      { expression: NEW },
      { expression: OLD, version: 1 },
      { expression: NEW, version: 2 },
    ]) {
      await bootOnce(release);
      expect(await oids()).toEqual(after);
    }
    await Promise.all(
      [1, 2, 1, 2, 1, 2].map((version) =>
        start({ expression: version === 1 ? OLD : NEW, version }).until('booted'),
      ),
    );
    expect(await oids()).toEqual(after);
    expect(replicas.map((replica) => replica.stderr).join('')).toBe('');
    expect(await database.query('SELECT total FROM ticking_total')).toEqual([{ total: 2 }]);
  });
});
