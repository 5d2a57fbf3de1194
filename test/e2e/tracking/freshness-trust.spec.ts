import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { InvalidDefinitionError, RefreshService } from '../../../lib/index.js';
import { deleteSeenChanges } from '../../../lib/postgres/change-log.sql.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { type PendingRead, PendingMemory } from '../../../lib/tracking/pending-memory.js';
import { managed } from '../../support/managed.js';
import { ChangeDetector, isStale } from '../../support/change-detector.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass, YEARLY } from '../../support/view-class.js';

const STATE = 'materialized_views';
const VIEW = { schema: 'Odd schema', name: 'trusted "or" not' };
const OTHER = { schema: 'public', name: 'other' };

const trusted: TestView = { ...VIEW, expression: 'SELECT count(*) AS id FROM public.orders' };
const other: TestView = {
  ...OTHER,
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { on: 'sources' },
};
/** Its rows differ with each refresh. */
const moving: TestView = {
  ...VIEW,
  expression: 'SELECT count(*) AS id, clock_timestamp() AS at FROM public.orders',
  columns: ['id', 'at'],
};

describe('what is known about a view', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let detector: ChangeDetector;

  beforeAll(async () => {
    database = await TestDatabase.create();
    detector = new ChangeDetector(database.client, STATE);
  });

  beforeEach(async () => {
    await database.query(
      `DROP SCHEMA IF EXISTS ${STATE}, "Odd schema", "Elsewhere", public CASCADE; CREATE SCHEMA public;
       CREATE TABLE orders (id int); CREATE TABLE rates (id int)`,
    );
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(() => database.drop());

  async function startBy(synchronize: true | 'verify', views: TestView[]): Promise<void> {
    await app?.close();
    app = undefined;
    app = await bootWith(database, { views: views.map(viewClass), scheduling: false, synchronize });
  }

  const start = (...views: TestView[]): Promise<void> => startBy(true, views);

  const refresh = (view: typeof VIEW): Promise<unknown> =>
    (app as TestingModule).get(RefreshService).refresh(`${view.schema}.${view.name}`);

  async function attempt(trigger: 'schedule' | 'write'): Promise<string> {
    const definitions = managed(app as TestingModule).views.all();
    const definition = definitions.find(({ name }) => name.name === VIEW.name);
    if (definition === undefined) {
      throw new Error('The view is not declared');
    }
    const request = tickRequest(definition, new Date());
    const skipsUnchanged = trigger === 'write' ? 'all-seen' : 'same-rows';
    const result = await managed(app as TestingModule).refresher.runner.run({
      ...{ ...request, tick: undefined, trigger },
      policy: { ...request.policy, skipsUnchanged },
    });
    return result.outcome === 'skipped' ? result.reason : result.outcome;
  }

  /** Writes a change that the log does not keep for the view, because the view does not track changes at the moment. */
  async function writeUntold(): Promise<void> {
    await database.query(`INSERT INTO orders VALUES (1)`);
    await refresh(OTHER);
    await database.query(`DELETE FROM ${STATE}.change_log`);
  }

  it('is forgotten when it tracks less for a while', async () => {
    const told: TestView = { ...trusted, refresh: { cron: YEARLY, skipUnchanged: true } };
    await start(told, other);
    await refresh(VIEW);
    expect(await attempt('schedule')).toBe('unchanged');
    await start(trusted, other);
    await writeUntold();
    await start(told, other);
    expect(await isStale(database.client, VIEW)).toBe(true);
    expect(await attempt('schedule')).toBe('refreshed');
    expect(await attempt('schedule')).toBe('unchanged');
  });

  it('is forgotten when its schema has another name for a while', async () => {
    await start({ ...trusted, refresh: { cron: YEARLY, skipUnchanged: true } }, other);
    await refresh(VIEW);
    expect(await attempt('schedule')).toBe('unchanged');
    await database.query(`ALTER SCHEMA "Odd schema" RENAME TO "Elsewhere"`);
    const { text, values } = deleteSeenChanges(STATE, 1_000);
    await database.query(`INSERT INTO orders VALUES (1)`);
    await refresh(OTHER);
    await database.query(text, values);
    await database.query(`ALTER SCHEMA "Elsewhere" RENAME TO "Odd schema"`);
    expect(await attempt('schedule')).toBe('refreshed');
  });

  it('is nothing after a refresh in a transaction of the caller, who may change what it reads after it', async () => {
    const low = (count: string): string =>
      `CREATE OR REPLACE VIEW low AS SELECT ${count} AS id FROM orders`;
    await database.query(low('count(*)'));
    await start({
      ...VIEW,
      expression: 'SELECT id FROM public.low',
      refresh: { cron: YEARLY, skipUnchanged: true },
    });
    const refreshes = (app as TestingModule).get(RefreshService);
    await (app as TestingModule).get(DataSource).transaction(async (manager) => {
      await manager.query(low('count(*) + 1'));
      await refreshes.refresh(`${VIEW.schema}.${VIEW.name}`, { manager });
      await manager.query(low('count(*) + 2'));
    });
    expect(await isStale(database.client, VIEW)).toBe(true);
    expect(await attempt('schedule')).toBe('refreshed');
    expect(await attempt('schedule')).toBe('unchanged');
  });

  it('covers writes but no ticks, if the query calls now()', async () => {
    await start({ ...moving, refresh: { on: 'sources' } });
    await refresh(VIEW);
    expect(await attempt('write')).toBe('unchanged');
    expect(await attempt('schedule')).toBe('refreshed');
    expect(await attempt('write')).toBe('unchanged');
    expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: false, is_unsure: true });
    expect(await detector.changes(VIEW)).toMatchObject({ is_watched: false, is_altered: false });
    await database.query(`INSERT INTO orders VALUES (1)`);
    const [status] = await (app as TestingModule).get(RefreshService).statusAll();
    expect(status?.changes).toMatchObject({ isUnchanged: false });
    expect(status?.changes?.pendingSince).toBeUndefined();
    expect(await attempt('write')).toBe('refreshed');
  });

  it.each(['paused_at = now()', `last_failure_at = now(), not_before = now() + interval '1 hour'`])(
    'is not read by polling while %s',
    async (state) => {
      await start({ ...trusted, refresh: { on: 'sources' } });
      await refresh(VIEW);
      const memory = new PendingMemory(STATE, managed(app as TestingModule).views.all());
      const look = (): Promise<PendingRead> =>
        managed(app as TestingModule).database.bookkeeping((session) => memory.look(session));
      expect((await look()).views).toHaveLength(1);
      await database.query(`UPDATE ${STATE}.view_state SET ${state}`);
      expect((await look()).views).toEqual([]);
    },
  );

  it('is known again once an obstacle is gone', async () => {
    await database.query(`ALTER TABLE orders SET UNLOGGED`);
    await start({ ...trusted, refresh: { on: 'sources' } });
    await refresh(VIEW);
    expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: false });
    await database.query(`ALTER TABLE orders SET LOGGED`);
    await refresh(VIEW);
    expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: true });
  });

  it('is read again when an option is added that needs more', async () => {
    await start({ ...moving, refresh: { on: 'sources' } });
    await refresh(VIEW);
    const skipping = { ...moving, refresh: { on: 'sources' as const, skipUnchanged: true } };
    await expect(start(skipping)).rejects.toThrow(InvalidDefinitionError);
  });

  it('does not count as complete if the database remembers less than the class declares', async () => {
    await start({ ...trusted, refresh: { on: ['public.rates'] } });
    await refresh(VIEW);
    const asking: TestView = {
      ...trusted,
      refresh: { on: 'sources', cron: YEARLY, skipUnchanged: true },
    };
    await startBy('verify', [asking]);
    expect(await detector.changes(VIEW)).toMatchObject({ is_unchanged: true });
    expect(await attempt('schedule')).toBe('refreshed');
    await database.query(`INSERT INTO rates VALUES (1)`);
    expect((await detector.changes(VIEW)).pending_since).toBeGreaterThan(0);
    const [status] = await (app as TestingModule).get(RefreshService).statusAll();
    expect(status?.changes).toMatchObject({ isUnchanged: false });
    expect(status?.changes?.pendingSince).toBeUndefined();
  });

  it('does not count as complete if it tracks only some tables', async () => {
    await start({ ...trusted, refresh: { on: ['public.rates'], cron: '* * * * * *' } });
    await refresh(VIEW);
    await database.query(`INSERT INTO orders VALUES (1)`);
    expect(await attempt('write')).toBe('unchanged');
    await database.query(
      `UPDATE ${STATE}.view_state SET last_started_at = last_started_at - interval '1 hour'`,
    );
    const [status] = await (app as TestingModule).get(RefreshService).statusAll();
    expect(status).toMatchObject({ isStale: true, changes: { isUnchanged: true } });
  });
});
