import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { DataSource } from 'typeorm';
import { deleteSeenChanges } from '../../../lib/postgres/change-log.sql.js';
import type { SqlStatement } from '../../../lib/postgres/sql-statement.js';
import { selectViewStatuses } from '../../../lib/postgres/status.sql.js';
import {
  RefreshService,
  type RefreshOptions,
  type RefreshResult,
  type ViewClass,
} from '../../../lib/index.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { oneIn } from '../../support/matrix.js';
import { definitionOf, managed } from '../../support/managed.js';
import { ChangeDetector, isStale } from '../../support/change-detector.js';
import { compact } from '../../support/janitor.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass, YEARLY } from '../../support/view-class.js';

const STATE = 'materialized_views';
const TOTALS = { schema: 'Odd schema', name: 'totals "by" day' };
const ABOVE = { schema: 'public', name: 'above' };

const VIEWS: TestView[] = [
  {
    ...TOTALS,
    expression: `SELECT p.day, o.k, sum(o.v) AS id, jsonb_agg(o ORDER BY o.id) AS all,
                        jsonb_agg(h) AS heirs, max(p.note) AS note, public.twice(1) AS two
                 FROM public.recent o JOIN public.parents p USING (day) LEFT JOIN public.heir h ON h.id = o.id
                 GROUP BY 1, 2`,
    refresh: { skipUnchanged: true, on: ['public.declared'] },
  },
  {
    ...ABOVE,
    expression: `SELECT count(*) AS id FROM "Odd schema"."totals ""by"" day", public.by_hand`,
    key: ['id'],
    refresh: { cron: YEARLY, skipUnchanged: true },
  },
];

/** `needless`: the view is refreshed although its rows did not change, because the library cannot tell. */
type Answer = 'changed' | 'unchanged' | 'needless';

interface Steps {
  database: TestDatabase;
  /** A session that has written before. */
  writer: Client;
}

/** What happens after a refresh, and what the next tick then finds. */
const SCENARIOS: [string, Answer, (steps: Steps) => Promise<unknown>][] = [
  ['nothing', 'unchanged', () => Promise.resolve()],
  ['INSERT', 'changed', ({ writer }) => writer.query(`INSERT INTO orders VALUES (9, 1, 'mon', 9)`)],
  ['UPDATE', 'changed', ({ writer }) => writer.query(`UPDATE orders SET v = v + 1`)],
  ['DELETE', 'changed', ({ writer }) => writer.query(`DELETE FROM orders WHERE k = 1`)],
  [
    'UPDATE that moves a row to another partition',
    'changed',
    ({ writer }) => writer.query(`UPDATE orders SET k = 2 WHERE k = 1`),
  ],
  [
    'INSERT ... ON CONFLICT DO UPDATE',
    'changed',
    ({ writer }) =>
      writer.query(
        `INSERT INTO parents VALUES ('mon') ON CONFLICT (day) DO UPDATE SET day = 'sun'`,
      ),
  ],
  [
    'INSERT ... ON CONFLICT DO NOTHING, in conflict',
    'unchanged',
    ({ writer }) => writer.query(`INSERT INTO parents VALUES ('mon') ON CONFLICT DO NOTHING`),
  ],
  [
    'MERGE, where there is one',
    'changed',
    async ({ writer }) => {
      const { rows } = await writer.query<{ has: boolean }>(
        `SELECT current_setting('server_version_num')::int >= 150000 AS has`,
      );
      await writer.query(
        rows[0]?.has
          ? `MERGE INTO orders o USING parents p ON o.day = p.day WHEN MATCHED THEN UPDATE SET v = 9`
          : `UPDATE orders SET v = 9`,
      );
    },
  ],
  [
    'COPY',
    'changed',
    ({ writer }) => writer.query(`COPY orders FROM PROGRAM 'printf "9\\t1\\tmon\\t9\\n"'`),
  ],
  [
    'a second write of a session, right after its first',
    'changed',
    async ({ writer }) => {
      await writer.query(`UPDATE orders SET v = v WHERE false`);
      await writer.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
    },
  ],
  [
    'write and rollback',
    'unchanged',
    async ({ writer }) => {
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await writer.query('ROLLBACK');
    },
  ],
  [
    'write, and rollback to a savepoint, and another write elsewhere',
    'unchanged',
    async ({ writer }) => {
      await writer.query('BEGIN; SAVEPOINT s');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await writer.query('ROLLBACK TO s');
      await writer.query(`INSERT INTO unrelated VALUES (1)`);
      await writer.query('COMMIT');
    },
  ],
  [
    'a write in a savepoint that is kept',
    'changed',
    async ({ writer }) => {
      await writer.query('BEGIN; SAVEPOINT s');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await writer.query('RELEASE s; COMMIT');
    },
  ],
  [
    'a statement that touches no row',
    'unchanged',
    ({ writer }) => writer.query(`UPDATE declared SET id = 0 WHERE id = -1`),
  ],
  [
    'a statement that touches no row of any partition',
    'unchanged',
    ({ writer }) => writer.query(`UPDATE orders SET v = 0 WHERE id = -1`),
  ],
  [
    'a statement that touches no row, after a write elsewhere in the transaction',
    'needless',
    ({ writer }) =>
      writer.query(
        `BEGIN; INSERT INTO unrelated VALUES (1); DELETE FROM orders WHERE id = -1; COMMIT`,
      ),
  ],
  [
    'ON DELETE CASCADE',
    'changed',
    ({ writer }) => writer.query(`DELETE FROM grandparents WHERE day = 'mon'`),
  ],
  ['TRUNCATE', 'changed', ({ writer }) => writer.query(`TRUNCATE orders`)],
  ['TRUNCATE of a partition', 'changed', ({ writer }) => writer.query(`TRUNCATE orders_1`)],
  [
    'INSERT into a partition',
    'changed',
    ({ writer }) => writer.query(`INSERT INTO orders_1 VALUES (9, 1, 'mon', 9)`),
  ],
  [
    'INSERT into a partition of a partition',
    'changed',
    ({ writer }) => writer.query(`INSERT INTO orders_2_all VALUES (9, 2, 'mon', 9)`),
  ],
  [
    'INSERT into an inheritance child',
    'changed',
    ({ writer }) => writer.query(`INSERT INTO heir_below VALUES (1)`),
  ],
  [
    'UPDATE of what is inherited, by its parent',
    'changed',
    ({ writer }) => writer.query(`UPDATE ancestor SET id = 2`),
  ],
  [
    'ATTACH PARTITION',
    'changed',
    ({ writer }) => writer.query(`ALTER TABLE orders ATTACH PARTITION spare FOR VALUES IN (3)`),
  ],
  [
    'DETACH PARTITION',
    'changed',
    ({ writer }) => writer.query(`ALTER TABLE orders DETACH PARTITION orders_1`),
  ],
  [
    'a new partition, and rows in it',
    'changed',
    async ({ writer }) => {
      await writer.query(`CREATE TABLE orders_4 PARTITION OF orders FOR VALUES IN (4)`);
      await writer.query(`INSERT INTO orders_4 VALUES (9, 4, 'mon', 9)`);
    },
  ],
  [
    'session_replication_role = replica',
    'changed',
    async ({ writer }) => {
      await writer.query(`SET session_replication_role = replica`);
      await writer.query(`UPDATE orders SET v = v + 1`);
      await writer.query(`RESET session_replication_role`);
    },
  ],
  [
    'a trigger switched off, a write, and on again',
    'changed',
    async ({ writer }) => {
      await writer.query(`ALTER TABLE parents DISABLE TRIGGER materialized_views_capture_update`);
      await writer.query(`UPDATE parents SET day = 'sun' WHERE day = 'tue'`);
      await writer.query(
        `ALTER TABLE parents ENABLE ALWAYS TRIGGER materialized_views_capture_update`,
      );
    },
  ],
  [
    'ALTER COLUMN TYPE ... USING',
    'changed',
    ({ writer }) => writer.query(`ALTER TABLE heir ALTER extra TYPE int USING extra + 1`),
  ],
  [
    'a column more, which whole rows have',
    'changed',
    ({ writer }) => writer.query(`ALTER TABLE heir ADD more int DEFAULT 5`),
  ],
  [
    'a column renamed',
    'needless',
    ({ writer }) => writer.query(`ALTER TABLE parents RENAME note TO n`),
  ],
  ['VACUUM FULL', 'needless', ({ writer }) => writer.query(`VACUUM FULL parents`)],
  ['GRANT', 'needless', ({ writer }) => writer.query(`GRANT SELECT ON parents TO PUBLIC`)],
  [
    'VACUUM and ANALYZE',
    'unchanged',
    ({ writer }) => writer.query(`VACUUM (ANALYZE, FREEZE) parents`),
  ],
  [
    'another table written',
    'unchanged',
    ({ writer }) => writer.query(`INSERT INTO unrelated VALUES (1)`),
  ],
  [
    'a table written that is only declared',
    'needless',
    ({ writer }) => writer.query(`INSERT INTO declared VALUES (1)`),
  ],
  [
    'a table renamed that is only declared',
    'needless',
    ({ writer }) => writer.query(`ALTER TABLE declared RENAME TO renamed`),
  ],
  [
    'a function replaced',
    'changed',
    ({ writer }) =>
      writer.query(
        `CREATE OR REPLACE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 3 * $1'`,
      ),
  ],
  [
    'a plain view below replaced',
    'changed',
    ({ writer }) =>
      writer.query(`CREATE OR REPLACE VIEW recent AS SELECT * FROM orders WHERE id > 1`),
  ],
  [
    'row security switched on',
    'needless',
    ({ writer }) => writer.query(`ALTER TABLE parents ENABLE ROW LEVEL SECURITY`),
  ],
  [
    'a refresh by hand',
    'needless',
    ({ writer }) => writer.query(`REFRESH MATERIALIZED VIEW "Odd schema"."totals ""by"" day"`),
  ],
  [
    'a refresh by hand that lost the rows',
    'changed',
    ({ writer }) =>
      writer.query(`REFRESH MATERIALIZED VIEW "Odd schema"."totals ""by"" day" WITH NO DATA`),
  ],
];

describe('whether the sources of a view have changed', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let writer: Client;
  let detector: ChangeDetector;
  let Totals: ViewClass;
  let Above: ViewClass;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query('ROLLBACK; RESET ALL');
    await database.query(
      `DROP SCHEMA IF EXISTS materialized_views, "Odd schema", public CASCADE; CREATE SCHEMA public`,
    );
    await database.query(`
      CREATE TABLE grandparents (day text PRIMARY KEY);
      INSERT INTO grandparents VALUES ('mon'), ('tue'), ('sun');
      CREATE TABLE parents (day text PRIMARY KEY REFERENCES grandparents ON DELETE CASCADE, note int);
      INSERT INTO parents VALUES ('mon', 1), ('tue', 2);
      CREATE TABLE orders (id int, k int, day text, v int) PARTITION BY LIST (k);
      CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
      CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2) PARTITION BY LIST (day);
      CREATE TABLE orders_2_all PARTITION OF orders_2 DEFAULT;
      CREATE TABLE spare (id int, k int, day text, v int);
      INSERT INTO spare VALUES (7, 3, 'mon', 7);
      INSERT INTO orders VALUES (1, 1, 'mon', 1), (2, 2, 'tue', 2);
      CREATE TABLE ancestor (id int);
      CREATE TABLE heir (extra int DEFAULT 1) INHERITS (ancestor);
      CREATE TABLE heir_below () INHERITS (heir);
      INSERT INTO heir VALUES (1);
      CREATE TABLE declared (id int);
      CREATE TABLE unrelated (id int);
      CREATE VIEW recent AS SELECT * FROM orders WHERE id > 0;
      CREATE MATERIALIZED VIEW by_hand AS SELECT id FROM unrelated;
      CREATE UNIQUE INDEX ON by_hand (id);
      CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * $1'`);
    [Totals, Above] = VIEWS.map(viewClass) as [ViewClass, ViewClass];
    app = await bootWith(database, { views: [Totals, Above] });
    writer = await database.session();
    await writer.query(`UPDATE orders SET v = v`);
    detector = new ChangeDetector(database.client, STATE);
    await refresh(Totals);
    await refresh(Above);
  });

  afterEach(async () => {
    await writer.end();
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const run = async ({ text, values }: SqlStatement): Promise<Record<string, unknown>[]> =>
    database.query(text, values);

  const refresh = (view: ViewClass, options: RefreshOptions = {}): Promise<unknown> =>
    app.get(RefreshService).refresh(view, options);

  /** A scheduled refresh. It has no `tick` by default: two within a millisecond would count as the same tick. */
  async function attempt(view: ViewClass, tick?: Date): Promise<string> {
    const request = tickRequest(definitionOf(app, view), new Date());
    const result: RefreshResult = await managed(app).refresher.runner.run({ ...request, tick });
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  }

  it.each(oneIn(2, SCENARIOS))('is noticed after %s: %s', async (_, answer, act) => {
    expect(await attempt(Totals)).toBe('unchanged');
    await act({ database, writer });
    const [view] = await database.query(
      `SELECT ispopulated FROM pg_matviews WHERE matviewname = $1`,
      [TOTALS.name],
    );
    const isChanged = view?.ispopulated === false || (await isStale(database.client, TOTALS));
    expect(isChanged).toBe(answer === 'changed');
    expect(await attempt(Totals)).toBe(answer === 'unchanged' ? 'unchanged' : 'refreshed');
    expect(await isStale(database.client, TOTALS)).toBe(false);
  });

  it.each<[string, RefreshOptions]>([
    ['blocking', { mode: 'blocking' }],
    ['concurrently', { mode: 'concurrently' }],
    ['by swap', { mode: 'swap' }],
  ])('is known after a refresh %s, and after each later change', async (_, options) => {
    await refresh(Above, options);
    expect(await attempt(Above)).toBe('unchanged');
    await writer.query('REFRESH MATERIALIZED VIEW CONCURRENTLY by_hand');
    await refresh(Above, options);
    expect(await attempt(Above)).toBe('unchanged');
    await writer.query(`INSERT INTO orders VALUES (9, 1, 'sun', 9), (9, 1, 'mon', 9)`);
    await refresh(Totals);
    expect(await attempt(Above)).toBe('refreshed');
    expect(await attempt(Above)).toBe('unchanged');
  });

  it('is unknown for a view that has lost its rows', async () => {
    await refresh(Above, { withData: false });
    expect(await attempt(Above)).toBe('refreshed');
    expect(await attempt(Above)).toBe('unchanged');
  });

  it('does not matter for a call of refresh', async () => {
    expect(await refresh(Totals)).toMatchObject({ outcome: 'refreshed' });
  });

  it('skips a tick if they have not, and is in the history', async () => {
    const tick = new Date();
    const before = await app.get(RefreshService).status(Totals);
    expect(await attempt(Totals, new Date(tick.getTime() + 60_000))).toBe('tick_early');
    expect(await attempt(Totals, tick)).toBe('unchanged');
    expect(await attempt(Totals, tick)).toBe('tick_done');
    const [entry] = await app.get(RefreshService).history(Totals);
    expect(entry).toMatchObject({
      trigger: 'schedule',
      tick,
      outcome: 'skipped',
      modeReason: 'unchanged',
      attempt: 1,
    });
    expect(entry?.mode).toBeUndefined();
    const [state] = await database.query(
      `SELECT last_unchanged_at > last_success_at AS is_later FROM ${STATE}.view_state WHERE view_name = $1`,
      [TOTALS.name],
    );
    expect(state).toEqual({ is_later: true });
    const after = await app.get(RefreshService).status(Totals);
    expect(after.lastSuccess).toEqual(before.lastSuccess);
  });

  it.each([
    'INSERT INTO orders_1 VALUES (9, 1)',
    'UPDATE orders SET v = v + 1',
    'DELETE FROM orders',
    'TRUNCATE orders',
  ])('includes the time, after %s', async (write) => {
    const [before] = await database.query<{ at: Date }>('SELECT now() AS at');
    await writer.query(write);
    const { pending_since, last_change_at } = await detector.changes(TOTALS);
    expect(pending_since).toBeGreaterThanOrEqual(before?.at.getTime() ?? Infinity);
    expect(last_change_at).toBeGreaterThanOrEqual(pending_since ?? Infinity);
  });

  it('includes the writes of a transaction that refreshed the view in between', async () => {
    await app.get(DataSource).transaction(async (manager) => {
      await manager.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
      // Once a later transaction has ended, PostgreSQL's own snapshot counts this one as ended, too.
      await writer.query(`INSERT INTO unrelated VALUES (1)`);
      await refresh(Totals, { manager });
      await manager.query(`UPDATE orders SET v = v + 1 WHERE id = 2`);
    });
    expect(await isStale(database.client, TOTALS)).toBe(true);
    // Not only is the view refreshed again: the second write is known to be pending.
    expect((await detector.changes(TOTALS)).pending_since).toBeGreaterThan(0);
    expect(await attempt(Totals)).toBe('refreshed');
  });

  it('includes a refresh by hand that stored older rows', async () => {
    await writer.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    await writer.query('SELECT FROM orders');
    await database.query(`UPDATE orders SET v = v + 1`);
    await refresh(Totals);
    await writer.query(`REFRESH MATERIALIZED VIEW "Odd schema"."totals ""by"" day"`);
    await writer.query('COMMIT');
    expect(await isStale(database.client, TOTALS)).toBe(true);
    expect(await attempt(Totals)).toBe('refreshed');
    expect(await isStale(database.client, TOTALS)).toBe(false);
  });

  it('is no longer known when a plain view below calls a function that is not immutable', async () => {
    await writer.query(`CREATE OR REPLACE VIEW recent AS SELECT * FROM orders WHERE random() < 2`);
    expect(await attempt(Totals)).toBe('refreshed');
    expect(await attempt(Totals)).toBe('refreshed');
    await writer.query(`CREATE OR REPLACE VIEW recent AS SELECT * FROM orders WHERE id > 0`);
    expect(await attempt(Totals)).toBe('refreshed');
    expect(await attempt(Totals)).toBe('unchanged');
  });

  it('is noticed in another time zone', async () => {
    await database.query(`SET TimeZone = 'Asia/Tokyo'`);
    expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
  });

  describe('with a writer in flight while the view is refreshed', () => {
    it('is noticed when it commits, and not before', async () => {
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await detector.refresh(TOTALS);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
      await writer.query('COMMIT');
      expect(await isStale(database.client, TOTALS)).toBe(true);
      const { is_unchanged, pending_since, last_change_at } = await detector.changes(TOTALS);
      expect(is_unchanged).toBe(false);
      expect(pending_since).toBeGreaterThan(0);
      expect(last_change_at).toBe(pending_since);
    });

    it('is not noticed when it rolls back', async () => {
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await detector.refresh(TOTALS);
      await writer.query('ROLLBACK');
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
    });

    it('includes an older transaction that commits after a younger one', async () => {
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
      await database.query(`UPDATE orders SET v = v + 1 WHERE id = 2`);
      await detector.refresh(TOTALS);
      await writer.query('COMMIT');
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    });

    it('includes a commit between the watermark and the refresh, unnecessarily', async () => {
      const seen = await detector.begin(TOTALS);
      await writer.query(`UPDATE orders SET v = v + 1`);
      await detector.commit(TOTALS, seen);
      expect(await isStale(database.client, TOTALS)).toBe(false);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    });

    it('includes what the own transaction wrote', async () => {
      await database.query('BEGIN');
      await database.query(`UPDATE orders SET v = v + 1`);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      await database.query('ROLLBACK');
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
    });
  });

  it('includes the refresh of a view below, even an unmanaged one', async () => {
    expect(await attempt(Above)).toBe('unchanged');
    await writer.query(`UPDATE orders SET v = v + 1`);
    expect(await attempt(Above)).toBe('unchanged');
    expect(await attempt(Totals)).toBe('refreshed');
    expect((await detector.changes(ABOVE)).pending_since).toBeGreaterThan(0);
    expect(await attempt(Above)).toBe('refreshed');
    for (const how of ['', 'CONCURRENTLY']) {
      expect(await attempt(Above)).toBe('unchanged');
      await writer.query(`REFRESH MATERIALIZED VIEW ${how} by_hand`);
      expect(await attempt(Above)).toBe('refreshed');
    }
  });

  it('does not rely on a watermark of another server, or on none', async () => {
    const change = (to: string): Promise<unknown> =>
      database.query(`UPDATE ${STATE}.view_state SET ${to} WHERE view_name = $1`, [TOTALS.name]);
    await change(`watermark = '900000000:900000000:'`);
    expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    await change(`watermark = NULL`);
    expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    await detector.refresh(TOTALS);
    expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
    await change(`source_signature = NULL`);
    expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
  });

  it('is known again after a restore into another server, with the restored log', async () => {
    await database.query(
      `UPDATE ${STATE}.view_state SET watermark = '900000002:900000002:';
       INSERT INTO ${STATE}.change_log (xid, source, kind)
       VALUES ('900000000', 'orders'::regclass, 'INSERT')`,
    );
    expect(await attempt(Totals)).toBe('refreshed');
    expect(await attempt(Totals)).toBe('unchanged');
    await writer.query(`UPDATE orders SET v = v + 1`);
    expect(await attempt(Totals)).toBe('refreshed');
    expect(await attempt(Totals)).toBe('unchanged');
  });

  it('is noticed by a role that is not a superuser', async () => {
    await database.query(`CREATE ROLE "${database.name}"`);
    try {
      await database.query(
        `GRANT USAGE ON SCHEMA ${STATE} TO "${database.name}"; GRANT SELECT ON ALL TABLES IN SCHEMA ${STATE} TO "${database.name}"`,
      );
      await database.query(`SET ROLE "${database.name}"`);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
      await writer.query(`UPDATE orders SET v = v + 1`);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    } finally {
      await database.query(`RESET ROLE`);
      await database.query(`DROP OWNED BY "${database.name}"; DROP ROLE "${database.name}"`);
    }
  });

  describe('the log', () => {
    // The application's background work on the log would interfere.
    beforeEach(() => managed(app).tracking.changeLog.stop());

    const rows = async (): Promise<number> =>
      Number((await database.query(`SELECT count(*) FROM ${STATE}.change_log`))[0]?.count);

    /** Open transactions in other databases of the server hold back the `xmin` of a watermark. */
    const settle = async (): Promise<void> => {
      const [row] = await database.query(`SELECT pg_current_xact_id()::text AS xid`);
      await database.until(
        `SELECT WHERE pg_snapshot_xmin(pg_current_snapshot()) > $1::text::xid8`,
        [row?.xid],
      );
    };

    it('loses what all views have seen, in batches, and nothing else', async () => {
      await detector.refresh(ABOVE);
      await writer.query(`UPDATE orders SET v = v + 1`);
      await writer.query(`UPDATE orders SET v = v + 1`);
      await run(deleteSeenChanges(STATE, 1_000));
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      await detector.refresh(TOTALS);
      await run(deleteSeenChanges(STATE, 1_000));
      // This view still has an older watermark.
      expect(await detector.changes(ABOVE)).toMatchObject({ is_unchanged: false });
      await settle();
      await detector.refresh(TOTALS);
      await detector.refresh(ABOVE);
      const before = await rows();
      expect(await run(deleteSeenChanges(STATE, 1))).toEqual([{ deleted_count: 1 }]);
      expect(await rows()).toBe(before - 1);
      await run(deleteSeenChanges(STATE, 1_000));
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1`);
      await detector.refresh(TOTALS);
      await detector.refresh(ABOVE);
      await run(deleteSeenChanges(STATE, 1_000));
      await writer.query('COMMIT');
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
    });

    it('keeps everything for a view without a watermark, and nothing if there are no views', async () => {
      await database.query(
        `UPDATE ${STATE}.view_state SET watermark = NULL WHERE view_name = 'above'`,
      );
      expect(await run(deleteSeenChanges(STATE, 1_000))).toEqual([{ deleted_count: 0 }]);
      await database.query(`UPDATE ${STATE}.view_state SET capture = NULL`);
      await run(deleteSeenChanges(STATE, 1_000));
      expect(await rows()).toBe(0);
    });

    it('is compacted without losing a change, whatever transactions are running', async () => {
      await compact(database.client, STATE, 2);
      await detector.refresh(TOTALS);
      // During the compaction, a writer's transaction is open, and a refresh has already taken its watermark.
      const refresher = await database.session();
      const other = new ChangeDetector(refresher, STATE);
      for (let count = 0; count < 5; count++) {
        await database.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
      }
      await writer.query('BEGIN');
      await writer.query(`UPDATE orders SET v = v + 1 WHERE id = 2`);
      const seen = await other.begin(TOTALS);
      await database.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
      const before = await rows();
      expect(await compact(database.client, STATE, 3)).toBe(1);
      expect(await rows()).toBeLessThan(before);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      await other.commit(TOTALS, seen);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      await detector.refresh(TOTALS);
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: true });
      await writer.query('COMMIT');
      expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      await refresher.end();
    });

    it.each<[string, () => Promise<unknown>]>([
      ['made smaller', () => run(deleteSeenChanges(STATE, 1_000))],
      ['compacted', () => compact(database.client, STATE, 2)],
    ])(
      'is %s without a transaction being lost that was older and ended later',
      async (_, shrink) => {
        await writer.query('BEGIN');
        await writer.query(`UPDATE orders SET v = v + 1 WHERE id = 1`);
        for (let count = 0; count < 5; count++) {
          await database.query(`UPDATE orders SET v = v + 1 WHERE id = 2`);
        }
        await detector.refresh(TOTALS);
        await detector.refresh(ABOVE);
        await writer.query('COMMIT');
        await shrink();
        expect(await isStale(database.client, TOTALS)).toBe(true);
        expect(await detector.changes(TOTALS)).toMatchObject({ is_unchanged: false });
      },
    );

    it('keeps the times of the oldest and the newest change when it is compacted', async () => {
      await settle();
      await detector.refresh(TOTALS);
      await detector.refresh(ABOVE);
      await run(deleteSeenChanges(STATE, 1_000));
      for (let count = 0; count < 5; count++) {
        await writer.query(`UPDATE orders SET v = v + 1`);
      }
      const before = await detector.changes(TOTALS);
      await compact(database.client, STATE, 2);
      const after = await detector.changes(TOTALS);
      // These describe the query, not the view.
      const { now, took_ms, snapshot } = after;
      expect(after).toEqual({ ...before, now, took_ms, snapshot });
    });

    it('can be pruned if all tables are published', async () => {
      await database.query('CREATE PUBLICATION "every" FOR ALL TABLES');
      try {
        for (let count = 0; count < 5; count++) {
          await writer.query(`INSERT INTO declared VALUES (1)`);
        }
        const long = await rows();
        await compact(database.client, STATE, 2);
        expect(await rows()).toBeLessThan(long);
        await settle();
        await detector.refresh(TOTALS);
        await detector.refresh(ABOVE);
        const before = await rows();
        await run(deleteSeenChanges(STATE, 1_000));
        expect(await rows()).toBeLessThan(before);
      } finally {
        await database.query('DROP PUBLICATION "every"');
      }
    });

    it('keeps its file when it is vacuumed, so that no writer waits', async () => {
      await database.query(
        `INSERT INTO ${STATE}.change_log (source, kind) SELECT 0, 'INSERT' FROM generate_series(1, 1000)`,
      );
      const size = (): Promise<unknown> =>
        database.query(`SELECT pg_relation_size('${STATE}.change_log') AS bytes`);
      const before = await size();
      await database.query(`DELETE FROM ${STATE}.change_log`);
      await database.query(`VACUUM ${STATE}.change_log`);
      expect(await size()).toEqual(before);
    });

    it('reports its size', async () => {
      const name = { schema: 'public', name: 'none' };
      const { text, values } = selectViewStatuses(STATE, [name], { withLog: true });
      const [size] = await database.query(text, values);
      expect(size).toMatchObject({
        log_row_count: await rows(),
        log_bytes: expect.any(Number),
      });
    });
  });
});
