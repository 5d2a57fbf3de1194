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
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import {
  BlockingRefusedError,
  RefreshError,
  RefreshService,
  SwapRefusedError,
} from '../../../lib/index.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Revenue = viewClass({
  name: 'daily "Revenue"',
  schema: 'Analytics eu',
  expression: `SELECT id, note, current_setting('app.tenant', true) AS tenant FROM public.orders`,
  columns: ['id', 'note', 'tenant'],
  key: ['id'],
  refresh: { settings: { 'app.tenant': 'eu', work_mem: '7MB' } },
});
const Keyless = viewClass({ name: 'keyless', expression: 'SELECT id FROM public.orders' });
const Strict = viewClass({
  name: 'strict',
  expression: 'SELECT id FROM public.orders',
  refresh: { strict: true, mode: 'concurrently' },
});
const Swapped = viewClass({
  name: 'swapped',
  expression: 'SELECT id FROM public.orders WHERE public.gate()',
  refresh: { mode: 'swap' },
});
const Base = viewClass({ name: 'base', expression: 'SELECT id FROM public.orders', key: ['id'] });
const OnBase = viewClass({ name: 'on_base', expression: 'SELECT id FROM public.base' });
const BadName = viewClass({
  name: 'bad_name',
  expression: 'SELECT 1 AS id',
  refresh: { settings: { no_such_setting: 1 } },
});
const BadValue = viewClass({
  name: 'bad_value',
  expression: 'SELECT 1 AS id',
  refresh: { settings: { work_mem: 'lots' } },
});
const Untouched = viewClass({
  name: 'untouched',
  expression: `SELECT coalesce(current_setting('app.tenant', true), '') AS tenant`,
  columns: ['tenant'],
});
const NullKey = viewClass({
  name: 'null_key',
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
  key: ['id', 'note'],
});

const VIEWS = [
  Revenue,
  Keyless,
  Strict,
  Swapped,
  Base,
  OnBase,
  BadName,
  BadValue,
  Untouched,
  NullKey,
];
const REVENUE = '"Analytics eu"."daily ""Revenue"""';

describe('the mode of a refresh', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let refreshes: RefreshService;
  let warnings: string[];

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE orders (id int, note text)');
    await database.createGate();
  });

  beforeEach(async () => {
    await database.query('DROP SCHEMA IF EXISTS materialized_views, "Analytics eu" CASCADE');
    await database.query('DROP MATERIALIZED VIEW IF EXISTS swapped, null_key, base CASCADE');
    await database.query('TRUNCATE orders');
    await database.query('INSERT INTO orders VALUES (1)');
    app = await bootWith(database, { views: VIEWS, lockTimeout: '30s', poolSize: 1 });
    refreshes = app.get(RefreshService);
    await refreshes.refresh(Revenue);
    warnings = [];
    jest
      .spyOn(Logger.prototype, 'warn')
      .mockImplementation((message) => void warnings.push(String(message)));
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await app.close();
  });

  afterAll(async () => {
    await database.drop();
  });

  const insert = (from: number, to = from): Promise<unknown> =>
    database.query('INSERT INTO orders SELECT generate_series($1::int, $2::int)', [from, to]);

  it('is concurrent if possible, unless the call says otherwise', async () => {
    const concurrent = { mode: 'concurrently', modeReason: 'unique_index' };
    expect(await refreshes.refresh(Revenue)).toMatchObject(concurrent);
    expect(await refreshes.refresh(Revenue, { mode: 'concurrently' })).toMatchObject(concurrent);
    expect(await refreshes.refresh(Revenue, { strict: true })).toMatchObject(concurrent);
    const blocking = { mode: 'blocking', modeReason: 'requested' };
    expect(await refreshes.refresh(Revenue, { mode: 'blocking' })).toMatchObject(blocking);
    expect(warnings).toEqual([]);
  });

  it('falls back with a warning if it should be concurrent', async () => {
    const fallback = { mode: 'blocking', modeReason: 'no_unique_index' };
    expect(await refreshes.refresh(Keyless)).toMatchObject(fallback);
    expect(warnings).toEqual([]);
    expect(await refreshes.refresh(Keyless, { mode: 'concurrently' })).toMatchObject(fallback);
    expect(warnings).toEqual([expect.stringContaining('its readers had to wait')]);
  });

  it('never blocks readers with `strict`, but fills an unpopulated view, which has none', async () => {
    await expect(refreshes.refresh(Strict)).rejects.toThrow(BlockingRefusedError);
    await expect(refreshes.refresh(Keyless, { strict: true })).rejects.toMatchObject({
      code: 'MV_BLOCKING_REFUSED',
      view: 'public.keyless',
    });
    const failed = await database.query(
      `SELECT error_code FROM materialized_views.refresh_history WHERE outcome = 'failed'`,
    );
    expect(failed).toEqual(Array(2).fill({ error_code: 'MV_BLOCKING_REFUSED' }));
    expect(await refreshes.refresh(Strict, { strict: false })).toMatchObject({ mode: 'blocking' });
    await database.query('REFRESH MATERIALIZED VIEW strict WITH NO DATA');
    expect(await refreshes.refresh(Strict)).toMatchObject({ modeReason: 'unpopulated' });
  });

  it('empties a view with `withData: false`, until its next refresh', async () => {
    expect(await refreshes.refresh(Revenue, { withData: false })).toMatchObject({
      outcome: 'refreshed',
      mode: 'blocking',
      modeReason: 'with_no_data',
    });
    await expect(database.query(`SELECT FROM ${REVENUE}`)).rejects.toThrow(/not been populated/);
    expect(await refreshes.status(Revenue)).toMatchObject({ isPopulated: false });
    expect(await refreshes.refresh(Revenue)).toMatchObject({ modeReason: 'unpopulated' });
    expect(await database.query(`SELECT FROM ${REVENUE}`)).toHaveLength(1);
  });

  it('swaps the rows of a view while it is read, and keeps its grants', async () => {
    await database.query('GRANT SELECT ON swapped TO PUBLIC');
    await insert(2);
    const gate = await database.closeGate();
    const running = refreshes.refresh(Swapped);
    await gate.untilReached();
    expect(await database.query('SELECT FROM swapped')).toHaveLength(1);
    await gate.open();
    expect(await running).toMatchObject({ mode: 'swap', modeReason: 'requested' });
    expect(await database.query('SELECT FROM swapped')).toHaveLength(2);
    const [grants] = await database.query(
      `SELECT relacl::text LIKE '%=r/%' AS is_public FROM pg_class WHERE relname = 'swapped'`,
    );
    expect(grants).toEqual({ is_public: true });
    await expect(refreshes.refresh(Base, { mode: 'swap' })).rejects.toThrow(SwapRefusedError);
    expect(await refreshes.refresh(Swapped, { mode: 'blocking' })).toMatchObject({
      mode: 'blocking',
    });
  });

  it('applies the settings of the view only during the refresh', async () => {
    expect(await database.query(`SELECT tenant FROM ${REVENUE}`)).toEqual([{ tenant: 'eu' }]);
    // There is only one connection, so this uses the same one.
    await refreshes.refresh(Untouched);
    expect(await database.query('SELECT tenant FROM untouched')).toEqual([{ tenant: '' }]);
  });

  it.each([
    ['name', BadName, 'no_such_setting'],
    ['value', BadValue, 'work_mem'],
  ])('fails clearly for a setting with a bad %s', async (_, view, setting) => {
    const failure = await refreshes.refresh(view).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RefreshError);
    expect(failure).toMatchObject({ code: 'MV_REFRESH_FAILED' });
    expect(String(failure)).toContain('a setting of the view was refused');
    expect(String(failure)).toContain(setting);
  });

  it.each([
    ['concurrently', 3, 1],
    ['blocking', 4, 0],
  ] as const)('counts what changed: %s', async (mode, inserted, deleted) => {
    await insert(2);
    await refreshes.refresh(Revenue);
    await database.query('DELETE FROM orders WHERE id = 1');
    await insert(3, 5);
    expect(await refreshes.refresh(Revenue, { mode })).toMatchObject({
      mode,
      insertedCount: inserted,
      deletedCount: deleted,
    });
  });

  it('analyses the view only after a big change', async () => {
    const rows = async (): Promise<unknown> =>
      (
        await database.query(`SELECT reltuples FROM pg_class WHERE oid = $1::regclass`, [REVENUE])
      )[0]?.reltuples;
    await insert(2, 1_001);
    await refreshes.refresh(Revenue);
    expect(await rows()).toBe(1_001);
    await insert(1_002, 1_010);
    await refreshes.refresh(Revenue);
    expect(await rows()).toBe(1_001);
  });

  it('warns once about NULLs in the unique key', async () => {
    await insert(2, 200);
    expect(await refreshes.refresh(NullKey)).toMatchObject({ mode: 'concurrently' });
    expect(warnings).toEqual([
      expect.stringMatching(/unique key of "public.null_key" has NULLs in "note"/),
    ]);
    // Nothing has changed, but NULLs are never equal.
    expect(await refreshes.refresh(NullKey)).toMatchObject({
      insertedCount: 200,
      deletedCount: 200,
    });
    expect(warnings).toHaveLength(1);
  });
});
