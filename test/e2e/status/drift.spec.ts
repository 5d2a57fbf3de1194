import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import {
  type MaterializedViewsModuleOptions,
  RefreshService,
  StatusError,
  UnknownViewError,
  ViewMissingError,
  ViewNotPopulatedError,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

/** Its table has the same name as a CTE of the comparison. */
const DailyRevenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT day AS "the Day", id, sum(amount) AS revenue FROM stored WHERE public.gate() GROUP BY day, id; -- by day`,
  columns: ['the Day', 'id', 'revenue'],
  key: ['the Day', 'id'],
});

const Amounts = viewClass({
  name: 'amounts',
  expression: `SELECT amount FROM stored`,
  columns: ['amount'],
});

const Documents = viewClass({
  name: 'documents',
  expression: `SELECT id, document, places, tagged, big, pair FROM documents_of`,
  columns: ['id', 'document', 'places', 'tagged', 'big', 'pair'],
  key: ['id'],
});

const Empty = viewClass({
  name: 'empty_view',
  expression: `SELECT 1 AS id`,
  withData: false,
});

describe('drift', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let refreshes: RefreshService;

  const restart = async (options: MaterializedViewsModuleOptions = {}): Promise<void> => {
    await app?.close();
    app = await bootWith(database, {
      views: [DailyRevenue, Amounts, Documents, Empty],
      ...options,
    });
    refreshes = app.get(RefreshService);
  };

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE stored (id int, day text, amount numeric)`);
    await database.query(`CREATE TYPE pair AS (n int, document json)`);
    await database.query(`CREATE DOMAIN tag AS json`);
    await database.query(
      `CREATE TABLE documents_of (id bigint, document json, places point[], tagged tag, big numeric, pair pair)`,
    );
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS amounts, documents, empty_view`);
    await database.query(`TRUNCATE stored, documents_of`);
    await database.query(
      `INSERT INTO stored VALUES (1, 'mon', 1), (2, 'mon', 2), (3, 'tue', 5), (4, 'wed', 5)`,
    );
    await database.query(
      `INSERT INTO documents_of
       VALUES (9007199254740993, '{"a": 1}', '{"(1,2)"}', '[1]', 1.0, ROW(1, '{}'))`,
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

  it('finds none in a view that has just been refreshed', async () => {
    const [before] = await database.query<{ at: Date }>('SELECT clock_timestamp() AS at');
    const drift = await refreshes.drift(DailyRevenue);
    expect(drift).toEqual({
      view: 'Analytics eu.daily "Revenue"',
      isDrifted: false,
      missingCount: 0,
      extraCount: 0,
      sample: { missing: [], extra: [] },
      checkedAt: expect.any(Date),
    });
    expect(drift.checkedAt.getTime()).toBeGreaterThanOrEqual(before?.at.getTime() ?? Infinity);
  });

  it('counts and names the rows of both sides; a changed row is on both', async () => {
    await database.query(`INSERT INTO stored VALUES (9, 'sun', 1)`);
    await database.query(`DELETE FROM stored WHERE id = 1`);
    await database.query(`UPDATE stored SET amount = 6 WHERE id = 3`);
    expect(await refreshes.drift(DailyRevenue)).toMatchObject({
      isDrifted: true,
      missingCount: 2,
      extraCount: 2,
      sample: {
        missing: [
          { 'the Day': 'sun', id: '9' },
          { 'the Day': 'tue', id: '3' },
        ],
        extra: [
          { 'the Day': 'mon', id: '1' },
          { 'the Day': 'tue', id: '3' },
        ],
      },
    });
    await refreshes.refresh(DailyRevenue);
    expect(await refreshes.drift(DailyRevenue)).toMatchObject({ isDrifted: false });
  });

  it('limits the sample, not the counts', async () => {
    await database.query(
      `INSERT INTO stored SELECT i, 'new', i FROM generate_series(10, 209) AS i`,
    );
    const usual = await refreshes.drift(DailyRevenue);
    expect(usual).toMatchObject({ missingCount: 200, extraCount: 0 });
    expect(usual.sample?.missing).toHaveLength(100);
    const short = await refreshes.drift(DailyRevenue, { limit: 2 });
    expect(short).toMatchObject({
      missingCount: 200,
      sample: { missing: [{ id: '10' }, { id: '11' }], extra: [] },
    });
  });

  it('counts a row as often as it occurs, and says why there are no keys', async () => {
    await database.query(`DELETE FROM stored WHERE id = 4`);
    const drift = await refreshes.drift(Amounts);
    expect(drift).toMatchObject({
      isDrifted: true,
      missingCount: 0,
      extraCount: 1,
      sampleReason: 'no_unique_index',
    });
    expect(drift.sample).toBeUndefined();
  });

  it('compares types without equality as text, and others by equality', async () => {
    expect(await refreshes.drift(Documents)).toMatchObject({ isDrifted: false });
    await database.query(`UPDATE documents_of SET big = 1.00`);
    expect(await refreshes.drift(Documents)).toMatchObject({ isDrifted: false });
    for (const change of [
      `document = '{"a": 2}'`,
      `places = '{"(1,3)"}'`,
      `tagged = '[2]'`,
      `pair = ROW(1, '[]')`,
    ]) {
      await database.query(`UPDATE documents_of SET ${change}`);
      expect({ change, ...(await refreshes.drift(Documents)) }).toMatchObject({
        change,
        missingCount: 1,
        sample: { missing: [{ id: '9007199254740993' }], extra: [{ id: '9007199254740993' }] },
      });
      await refreshes.refresh(Documents);
    }
  });

  it('compares with the deployed query, not with the declared one', async () => {
    await database.query(`DROP MATERIALIZED VIEW amounts`);
    await database.query(`CREATE MATERIALIZED VIEW amounts AS SELECT 1::numeric AS amount`);
    expect(await refreshes.drift(Amounts)).toMatchObject({ isDrifted: false });
  });

  it('compares both sides as they were when it began', async () => {
    await database.query(`INSERT INTO stored VALUES (9, 'sun', 1)`);
    const gate = await database.closeGate();
    const running = refreshes.drift(DailyRevenue);
    await gate.untilReached();
    await database.query(`INSERT INTO stored VALUES (10, 'sun', 1)`);
    await gate.open();
    expect(await running).toMatchObject({ missingCount: 1, sample: { missing: [{ id: '9' }] } });
  });

  it('runs with the privileges and the row security of the owner, like a refresh', async () => {
    await database.query(`CREATE ROLE drift_owner`);
    await database.query(`GRANT drift_owner TO CURRENT_USER`);
    await database.query(`GRANT SELECT ON stored TO drift_owner`);
    await database.query(`GRANT CREATE, USAGE ON SCHEMA public TO drift_owner`);
    await database.query(`ALTER MATERIALIZED VIEW amounts OWNER TO drift_owner`);
    await database.query(`ALTER TABLE stored ENABLE ROW LEVEL SECURITY`);
    await database.query(`CREATE POLICY low ON stored TO drift_owner USING (amount < 5)`);
    try {
      await refreshes.refresh(Amounts);
      expect(await database.query('SELECT FROM amounts')).toHaveLength(2);
      expect(await refreshes.drift(Amounts)).toMatchObject({ isDrifted: false });
    } finally {
      await database.query(`DROP POLICY low ON stored`);
      await database.query(`ALTER TABLE stored DISABLE ROW LEVEL SECURITY`);
      await database.query(`ALTER MATERIALIZED VIEW amounts OWNER TO CURRENT_USER`);
      await database.query(`DROP OWNED BY drift_owner`);
      await database.query(`DROP ROLE drift_owner`);
    }
  });

  it('cannot write', async () => {
    await database.query(`CREATE TABLE written (id int)`);
    await database.query(
      `CREATE FUNCTION public.write() RETURNS int LANGUAGE plpgsql AS $$
       BEGIN INSERT INTO public.written VALUES (1); RETURN 1; END $$`,
    );
    await database.query(`DROP MATERIALIZED VIEW amounts`);
    await database.query(`CREATE MATERIALIZED VIEW amounts AS SELECT public.write() AS amount`);
    await expect(refreshes.drift(Amounts)).rejects.toThrow(/25006/);
    expect(await database.query('SELECT FROM written')).toHaveLength(1);
    await database.query(`DROP MATERIALIZED VIEW amounts`);
    await database.query(`DROP FUNCTION public.write(); DROP TABLE written`);
  });

  it('ends after statementTimeout', async () => {
    await restart({ statementTimeout: '1s' });
    const gate = await database.closeGate();
    const error = await refreshes.drift(DailyRevenue).catch((each: unknown) => each);
    await gate.open();
    expect(error).toBeInstanceOf(StatusError);
    expect(error).toMatchObject({
      view: 'Analytics eu.daily "Revenue"',
      message: expect.stringMatching(/took too long, or was cancelled.*statementTimeout/),
    });
  });

  it('refuses a view without rows, a missing one, and one of another kind', async () => {
    await expect(refreshes.drift(Empty)).rejects.toThrow(ViewNotPopulatedError);
    await expect(refreshes.drift(Empty)).rejects.toMatchObject({
      code: 'MV_VIEW_NOT_POPULATED',
      view: 'public.empty_view',
    });
    await database.query('DROP MATERIALIZED VIEW empty_view');
    await expect(refreshes.drift(Empty)).rejects.toThrow(ViewMissingError);
    await database.query('CREATE TABLE empty_view (id int)');
    await expect(refreshes.drift(Empty)).rejects.toThrow(ViewMissingError);
    await database.query('DROP TABLE empty_view');
    await expect(refreshes.drift('public.nothing')).rejects.toThrow(UnknownViewError);
    await expect(refreshes.drift(Amounts, { limit: 0 })).rejects.toThrow(/expected `limit`/);
  });
});
