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
import { RefreshService, type ViewClass, type ViewStatus } from '../../../lib/index.js';
import { EventPublisher } from '../../../lib/nest/event.publisher.js';
import { MaterializedViewEvents } from '../../../lib/definition/materialized-view.events.js';
import { changeLogLockKey } from '../../../lib/postgres/advisory-lock.js';
import { tryLock } from '../../../lib/postgres/advisory-lock.sql.js';
import {
  compactChanges,
  deleteSeenChanges,
  followIndex,
  selectCrowdedSources,
} from '../../../lib/postgres/change-log.sql.js';
import type { ViewDefinition } from '../../../lib/definition/view-definition.js';
import { LibraryClient } from '../../../lib/postgres/library-client.js';
import { ChangeLogKeeper } from '../../../lib/tracking/change-log.keeper.js';
import { changeRequest, tickRequest } from '../../../lib/refresh/occasions.js';
import type { RefreshRequest } from '../../../lib/refresh/refresh-request.js';
import { StaleWatch } from '../../../lib/status/stale.watch.js';
import { definitionOf, managed } from '../../support/managed.js';
import { compact } from '../../support/janitor.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const STATE = 'materialized_views';
const LOG = `${STATE}.change_log`;

const Told = viewClass({
  name: 'told "twice"',
  schema: 'Odd schema',
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { maxStaleness: '1h' },
});

const Ticking = viewClass({
  name: 'ticking',
  expression: 'SELECT count(*) AS id FROM public.orders',
  refresh: { cron: '*/10 * * * *', skipUnchanged: true },
});

const Base = viewClass({
  name: 'base',
  schema: 'Odd schema',
  expression: 'SELECT count(*) AS id FROM public.orders',
});

const Top = viewClass({
  name: 'top',
  expression: 'SELECT max(id) AS id FROM public.between_them',
  refresh: { maxStaleness: '30m' },
});

const Untold = viewClass({ name: 'untold', expression: 'SELECT 1 AS id' });

let database: TestDatabase;
let app: TestingModule;

beforeAll(async () => {
  database = await TestDatabase.create();
});

beforeEach(async () => {
  await database.query(
    `DROP SCHEMA IF EXISTS materialized_views, "Odd schema", public CASCADE; CREATE SCHEMA public`,
  );
  await database.query(`CREATE TABLE orders (id int)`);
  await start();
  await refresh(Told);
  await refresh(Ticking);
});

afterEach(() => app.close());

afterAll(() => database.drop());

async function start(): Promise<void> {
  app = await bootWith(database, { views: [Told, Ticking, Untold] });
}

const refresh = (view: ViewClass): Promise<unknown> => app.get(RefreshService).refresh(view);

const status = (view: ViewClass): Promise<ViewStatus> => app.get(RefreshService).status(view);

const write = (): Promise<unknown> => database.query(`INSERT INTO orders VALUES (1)`);

const rowCount = async (): Promise<number> =>
  Number((await database.query(`SELECT count(*) FROM ${LOG}`))[0]?.count);

/** Makes all changes and refreshes older. */
async function age(interval: string): Promise<void> {
  await database.query(`UPDATE ${LOG} SET changed_at = changed_at - $1::interval`, [interval]);
  await database.query(
    `UPDATE materialized_views.view_state
     SET last_started_at = last_started_at - $1::interval,
         last_success_at = last_success_at - $1::interval,
         last_unchanged_at = last_unchanged_at - $1::interval`,
    [interval],
  );
}

describe('the status of a view that tracks changes', () => {
  it('has the oldest change that it has not seen, and the size of the log', async () => {
    expect((await status(Told)).changes).toEqual({
      isUnchanged: true,
      logRowCount: await rowCount(),
      logBytes: expect.any(Number),
    });
    await write();
    await write();
    const [oldest] = await database.query<{ ms: string }>(
      `SELECT floor(extract(epoch FROM min(changed_at)) * 1000) AS ms FROM ${LOG} WHERE kind = 'INSERT'`,
    );
    const { changes } = await status(Told);
    expect(changes).toMatchObject({ isUnchanged: false, logRowCount: await rowCount() });
    expect(Math.floor(changes?.pendingSince?.getTime() ?? 0)).toBe(Number(oldest?.ms));
    await refresh(Told);
    expect((await status(Told)).changes?.pendingSince).toBeUndefined();
    expect((await status(Ticking)).changes?.isUnchanged).toBe(false);
    expect((await status(Untold)).changes).toBeUndefined();
  });

  it('is stale by the age of what it has not seen, and not by that of its rows', async () => {
    await age('2 hours');
    expect(await status(Told)).toMatchObject({ maxStalenessMs: 3_600_000, isStale: false });
    await write();
    expect(await status(Told)).toMatchObject({ isStale: false });
    await age('2 hours');
    expect(await status(Told)).toMatchObject({ isStale: true });
    await refresh(Told);
    expect(await status(Told)).toMatchObject({ isStale: false });
  });

  it('is not stale by what its rows have, even if that is compacted with what they lack', async () => {
    for (let count = 0; count < 3; count++) {
      await write();
    }
    await age('2 hours');
    await refresh(Told);
    await write();
    expect(await compact(database.client, STATE, 3)).toBe(1);
    const { changes, lastSuccess, isStale } = await status(Told);
    expect(isStale).toBe(false);
    expect(changes?.pendingSince?.getTime()).toBeGreaterThanOrEqual(
      lastSuccess!.startedAt.getTime(),
    );
    const { changes: others } = await status(Ticking);
    expect(others?.pendingSince?.getTime()).toBeLessThan(Date.now() - 7_000_000);
  });

  it('is stale by the age of its rows if nothing else is known', async () => {
    await age('2 hours');
    await write();
    await database.query(`ALTER TABLE orders DISABLE TRIGGER ALL`);
    await write();
    const { isStale, changes } = await status(Told);
    expect({ isStale, isUnchanged: changes?.isUnchanged }).toEqual({
      isStale: true,
      isUnchanged: false,
    });
    // An older write may have been missed, so the time of the oldest is unknown.
    expect(changes?.pendingSince).toBeUndefined();
  });

  it.each<[string, (view: ViewDefinition) => RefreshRequest]>([
    ['its schedule', (view) => tickRequest(view, new Date())],
    [
      'who looks for changes',
      (view) => changeRequest(view, { trigger: 'write', round: 0, sinceMs: performance.now() }),
    ],
  ])('is as young as %s last found that nothing had changed', async (_, request) => {
    await age('2 hours');
    const old = await status(Ticking);
    expect(old.ageMs).toBeGreaterThanOrEqual(7_200_000);
    await managed(app).refresher.runner.run(request(definitionOf(app, Ticking)));
    const young = await status(Ticking);
    expect(young.ageMs).toBeLessThan(7_200_000);
    expect(young).toMatchObject({ lastSuccess: old.lastSuccess, isStale: false });
    await refresh(Ticking);
  });

  it('is stale by the age of what a view below it has not seen', async () => {
    await database.query(
      `CREATE MATERIALIZED VIEW "Odd schema".base AS SELECT count(*) AS id FROM public.orders;
       CREATE VIEW between_them AS SELECT * FROM "Odd schema".base`,
    );
    await app.close();
    app = await bootWith(database, { views: [Base, Top], unmanagedDependents: 'rebuild' });
    await refresh(Base);
    await refresh(Top);
    await age('1 hour');
    expect(await status(Top)).toMatchObject({ isStale: false, changes: { isUnchanged: true } });
    await write();
    expect(await status(Top)).toMatchObject({ isStale: false });
    await age('1 hour');
    const unseen = { isStale: true, changes: { isUnchanged: true } };
    expect(await status(Top)).toMatchObject(unseen);
    expect((await status(Top)).changes?.pendingSince).toBeUndefined();
    expect(await app.get(RefreshService).statusAll()).toMatchObject([{ isStale: false }, unseen]);
    const heard: unknown[] = [];
    app.get(EventPublisher).publish = (name, { view }: { view?: string }) =>
      heard.push([name, view]);
    const watch = new StaleWatch(managed(app));
    const stale = [MaterializedViewEvents.stale, 'public.top'];
    await watch.look(managed(app).views.all());
    expect(heard).toEqual([stale]);
    await refresh(Base);
    await refresh(Top);
    expect(await status(Top)).toMatchObject({ isStale: false });
    heard.length = 0;
    await watch.look(managed(app).views.all());
    expect(heard).toEqual([]);
    // It is reported again when it becomes stale again.
    await write();
    await age('1 hour');
    await watch.look(managed(app).views.all());
    expect(heard).toEqual([stale]);
  });

  it('takes one more statement, and no other if there is a limit, for the views below', async () => {
    const statements = jest.spyOn(LibraryClient.prototype, 'query');
    const count = async (view: ViewClass): Promise<number> => {
      statements.mockClear();
      await status(view);
      return statements.mock.calls.length;
    };
    // Background work after the refreshes must not be counted.
    await Promise.all([
      managed(app).tracking.changeLog.stop(),
      managed(app).refresher.history.stop(),
    ]);
    try {
      // Opens the connection.
      await status(Untold);
      const plain = await count(Untold);
      expect(await count(Ticking)).toBe(plain + 1);
      expect(await count(Told)).toBe(plain + 1);
    } finally {
      statements.mockRestore();
    }
  });

  it('is read without a lock on the view or its tables', async () => {
    const other = await database.session();
    await other.query(`BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE`);
    expect((await status(Told)).changes?.isUnchanged).toBe(true);
    await other.end();
  });
});

describe('the change log', () => {
  const keep = (batchSize?: number): Promise<number> => {
    // The application's own keeper runs at times that the test does not control.
    const keeper = new ChangeLogKeeper(managed(app));
    return keeper.keep(batchSize);
  };

  beforeEach(() => managed(app).tracking.changeLog.stop());

  const addOldRows = (count: number): Promise<unknown> =>
    database.query(
      `INSERT INTO ${LOG} (xid, source, kind) SELECT '3', 'orders'::regclass, 'INSERT' FROM generate_series(1, $1::int)`,
      [count],
    );

  it('loses what all views have seen, in batches', async () => {
    const before = await rowCount();
    await addOldRows(12_000);
    expect(await keep()).toBeGreaterThanOrEqual(12_000);
    expect(await rowCount()).toBeLessThanOrEqual(before);
  });

  it('stays small while a view is not refreshed, and still reports its changes', async () => {
    await keep();
    await database.query(
      `INSERT INTO ${LOG} (source, kind) SELECT 'orders'::regclass, 'INSERT' FROM generate_series(1, 10001)`,
    );
    await keep();
    expect(await rowCount()).toBeLessThan(20);
    expect((await status(Told)).changes).toMatchObject({
      isUnchanged: false,
      pendingSince: expect.any(Date),
    });
  });

  describe('after a night without any process', () => {
    const COUNT = 300_000;
    const BATCH_SIZE = 20_000;

    beforeEach(async () => {
      await database.query(
        `CREATE TABLE deletions (at int GENERATED ALWAYS AS IDENTITY, xid xid8 DEFAULT pg_current_xact_id(), row_count int);
         CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
           INSERT INTO public.deletions (row_count) SELECT count(*) FROM old_rows;
           RETURN NULL;
         END $$;
         CREATE TRIGGER noted AFTER DELETE ON ${LOG}
         REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION noted()`,
      );
      await keep();
      await database.query('TRUNCATE deletions');
    });

    const deletions = async (): Promise<Record<string, unknown> | undefined> =>
      (
        await database.query(
          `SELECT count(DISTINCT xid) >= $1 AS are_many, max(row_count)::int AS largest FROM deletions`,
          [COUNT / BATCH_SIZE],
        )
      )[0];

    it('is compacted in short transactions, and its oldest row keeps its time', async () => {
      await age('9 hours');
      await database.query(
        `INSERT INTO ${LOG} (source, kind, changed_at)
         SELECT 'orders'::regclass, 'INSERT', now() - interval '8 hours' + each * interval '1 ms'
         FROM generate_series(1, $1::int) AS each`,
        [COUNT],
      );
      const before = await status(Told);
      await keep(BATCH_SIZE);
      expect(await rowCount()).toBeLessThan(20);
      expect(await deletions()).toEqual({ are_many: true, largest: BATCH_SIZE });
      const { changes, isStale } = await status(Told);
      expect(isStale).toBe(true);
      expect(changes).toMatchObject({
        isUnchanged: false,
        pendingSince: before.changes?.pendingSince,
      });
    });

    it('is not read as a whole for one batch', async () => {
      await addOldRows(COUNT);
      const [table] = await database.query<{ source: string }>(
        `SELECT 'orders'::regclass::oid::text AS source`,
      );
      const batch = { source: table?.source ?? '', fromXid: '0', batchSize: BATCH_SIZE };
      await database.query('BEGIN');
      await database.query(followIndex().text);
      for (const { text, values } of [
        deleteSeenChanges(STATE, BATCH_SIZE),
        selectCrowdedSources(STATE, BATCH_SIZE),
        compactChanges(STATE, batch),
      ]) {
        const plan = await database.query(`EXPLAIN (COSTS OFF) ${text}`, values);
        const lines = plan.map((row) => String(row['QUERY PLAN']).trim());
        expect(lines.join('\n')).toMatch(/Index (Only )?Scan using change_log_source/);
        expect(lines.join('\n')).not.toMatch(/(Seq|Bitmap \w+) Scan on change_log/);
      }
      await database.query('ROLLBACK');
    });

    it('loses what all views have seen in short transactions', async () => {
      await addOldRows(COUNT);
      expect(await keep(BATCH_SIZE)).toBeGreaterThanOrEqual(COUNT);
      expect(await deletions()).toEqual({ are_many: true, largest: BATCH_SIZE });
    });
  });

  it('is left to another process that is working on it', async () => {
    await addOldRows(1);
    const other = await database.session();
    const { text, values } = tryLock(changeLogLockKey());
    await other.query('BEGIN');
    await other.query(text, values);
    expect(await keep()).toBe(0);
    await other.end();
    await database.until(
      `SELECT WHERE NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
    );
    expect(await keep()).toBeGreaterThan(0);
  });

  it('is pruned in the background, after a refresh', async () => {
    await app.close();
    await start();
    await addOldRows(1);
    await refresh(Untold);
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM ${LOG} WHERE xid = '3')`);
  });

  it('is pruned even if no view tracks changes any more', async () => {
    await app.close();
    app = await bootWith(database, { views: [Untold] });
    await addOldRows(1);
    await refresh(Untold);
    await database.until(`SELECT WHERE NOT EXISTS (SELECT FROM ${LOG} WHERE xid = '3')`);
  });

  it('is not missed if it was never created', async () => {
    await app.close();
    app = await bootWith(database, { views: [Untold] });
    await database.query(`DROP TABLE ${LOG}`);
    const keep = jest.spyOn(ChangeLogKeeper.prototype, 'keep');
    const warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    managed(app).tracking.changeLog.maybeKeep();
    await expect(keep.mock.results[0]?.value).rejects.toMatchObject({ code: '42P01' });
    await new Promise(setImmediate);
    expect(warn).not.toHaveBeenCalled();
    jest.restoreAllMocks();
  });

  it('does not keep an application from stopping', async () => {
    await app.close();
    await start();
    const other = await database.session();
    await other.query(`BEGIN; LOCK TABLE ${LOG} IN ACCESS EXCLUSIVE MODE`);
    managed(app).tracking.changeLog.maybeKeep();
    await app.close();
    await other.query('ROLLBACK');
    await other.end();
    await start();
  });
});
