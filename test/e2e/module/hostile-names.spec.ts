import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource, type QueryRunner } from 'typeorm';
import {
  alterTable,
  type RefreshResult,
  RefreshService,
  SchemaService,
  type ViewClass,
} from '../../../lib/index.js';
import { advanceRecords } from '../../../lib/postgres/advance.sql.js';
import { cancelLockHolder, selectLockHeldBy } from '../../../lib/postgres/advisory-lock.sql.js';
import { compactChanges } from '../../../lib/postgres/change-log.sql.js';
import { claimTicks } from '../../../lib/postgres/claim.sql.js';
import {
  selectBackendPid,
  selectServerFacts,
  selectViewRisks,
} from '../../../lib/postgres/doctor.sql.js';
import { selectRun } from '../../../lib/postgres/history.sql.js';
import { claimViews, releaseViews } from '../../../lib/postgres/state.sql.js';
import { selectReplicas, selectWalPosition } from '../../../lib/postgres/replica.sql.js';
import { selectStandbys } from '../../../lib/postgres/server.sql.js';
import { selectNullKeys } from '../../../lib/postgres/status.sql.js';
import { replaceFingerprint } from '../../../lib/postgres/swap.sql.js';
import { setTablespace } from '../../../lib/postgres/view-ddl.sql.js';
import { tickRequest } from '../../../lib/refresh/occasions.js';
import { oneIn } from '../../support/matrix.js';
import { CalledFunctions } from '../../support/called-functions.js';
import { definitionOf, managed } from '../../support/managed.js';
import { loadMigration } from '../../support/migration-runner.js';
import type { ModuleOptions } from '../../support/releases.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { setTraps, trappedCount } from '../../support/traps.js';
import { plainViewClass, viewClass, YEARLY } from '../../support/view-class.js';

const DAILY = {
  schema: 'Odd schema',
  name: 'daily "orders"',
  columns: ['id', 'note'],
  key: ['id'],
};
const QUOTED_DAILY = '"Odd schema"."daily ""orders"""';

const Daily = viewClass({
  ...DAILY,
  expression: `SELECT id, note FROM public.orders`,
  refresh: { cron: YEARLY, on: 'sources', skipUnchanged: true },
});

const Plain = viewClass({
  name: 'plain',
  expression: `SELECT id FROM orders`,
  indexes: [{ name: 'plain_id', keys: ['id'] }],
});

const Fragile = viewClass({
  name: 'fragile',
  liveView: true,
  expression: `SELECT CAST(note AS pg_catalog.int4) AS id FROM orders`,
});

const Open = plainViewClass({ name: 'open', expression: `SELECT id FROM orders` });
const GrownOpen = plainViewClass({ name: 'open', expression: `SELECT id, note FROM orders` });

/** The next release: it changes one view, and renames another, which loses its index. */
const NEXT = [
  GrownOpen,
  viewClass({ ...DAILY, expression: `SELECT id, note, note AS same FROM public.orders` }),
  viewClass({
    name: 'renamed',
    renamedFrom: 'plain',
    expression: `SELECT id FROM orders`,
    storage: { fillfactor: 80 },
  }),
];

/** The release after it: it undoes all that, but in another schema. */
const LAST = [
  GrownOpen,
  viewClass({
    ...DAILY,
    expression: `SELECT id, note FROM public.orders`,
  }),
  viewClass({
    schema: 'moved',
    name: 'plain',
    renamedFrom: 'public.renamed',
    expression: `SELECT id FROM orders`,
  }),
];

/** A release that no database can have: its views read each other. */
const CIRCLE = [
  viewClass({ name: 'one', expression: `SELECT id FROM other` }),
  viewClass({ name: 'other', expression: `SELECT id FROM one` }),
];

/** Exports that are no statements, or that build a part of a statement when its file is loaded. */
const NO_STATEMENTS = [
  'extensionsOf',
  'grantsJson',
  'obstacleReasons',
  'storedFunction',
  'storedProcedure',
  'triggerFunction',
  'listOf',
  'withoutServersOwn',
];

/** Covered by pg-cron.spec.ts, because they need the extension. */
const WITH_PG_CRON = [
  'isOwnCommand',
  'pgCronCommand',
  'pgCronCommandStart',
  'schedulePgCronJob',
  'selectOwnViews',
  'selectPgCronJobs',
  'selectPgCronRuns',
  'unscheduleElsewhere',
  'unschedulePgCronJob',
];

const EXCEPTED = [...NO_STATEMENTS, ...WITH_PG_CRON];

/** What is added to a view by hand. */
const BELONGINGS = [
  `ALTER MATERIALIZED VIEW ${QUOTED_DAILY} SET (fillfactor = 90)`,
  `ALTER MATERIALIZED VIEW ${QUOTED_DAILY} ALTER COLUMN note SET STATISTICS 200`,
  `ALTER MATERIALIZED VIEW ${QUOTED_DAILY} CLUSTER ON "daily ""orders""_key"`,
  `CREATE INDEX by_hand ON ${QUOTED_DAILY} ((id OPERATOR(pg_catalog.+) 1))`,
  `ALTER INDEX "Odd schema".by_hand ALTER COLUMN 1 SET STATISTICS 300`,
  `CREATE STATISTICS "Odd schema".both ON id, note FROM ${QUOTED_DAILY}`,
  `COMMENT ON MATERIALIZED VIEW ${QUOTED_DAILY} IS 'by hand'`,
  `COMMENT ON INDEX "Odd schema".by_hand IS 'by hand'`,
  `COMMENT ON TYPE ${QUOTED_DAILY} IS 'by hand'`,
  `ALTER MATERIALIZED VIEW ${QUOTED_DAILY} DEPENDS ON EXTENSION plpgsql`,
  `ALTER INDEX "Odd schema".by_hand DEPENDS ON EXTENSION plpgsql`,
  `ALTER MATERIALIZED VIEW ${QUOTED_DAILY} REPLICA IDENTITY FULL`,
  `GRANT SELECT ON ${QUOTED_DAILY} TO PUBLIC`,
  // With this trigger, the migration's way back is refused.
  `CREATE TRIGGER guard INSTEAD OF UPDATE ON public.open FOR EACH ROW EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()`,
];

describe('names in a schema in which everyone may create objects', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let called: CalledFunctions;

  beforeAll(async () => {
    called = await CalledFunctions.watch();
  });

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE public.orders (id int PRIMARY KEY, note text)`);
    await database.query(`INSERT INTO public.orders VALUES (1, '1')`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
  });

  const start = async (
    views: ViewClass[] = [Daily, Plain, Fragile, Open],
    options: ModuleOptions = {},
  ): Promise<TestingModule> => {
    await app?.close();
    app = await bootWith(database, {
      views,
      synchronize: true,
      history: { maxCount: 1 },
      scheduling: true,
      sweepInterval: '1s',
      wakeUp: 'notify',
      ...options,
    });
    return app;
  };

  const useRefreshes = async (running: TestingModule): Promise<void> => {
    const refreshes = running.get(RefreshService);
    for (const mode of ['concurrently', 'blocking', 'swap'] as const) {
      expect(await refreshes.refresh(Daily, { mode })).toMatchObject({ outcome: 'refreshed' });
    }
    await running.get(DataSource).transaction((manager) => refreshes.refresh(Daily, { manager }));
    await refreshes.refreshAll();
    const { runner } = managed(running).refresher;
    const daily = definitionOf(running, Daily);
    await runner.run(tickRequest(daily, new Date()));
    let again: RefreshResult;
    do {
      // The application itself may be refreshing the view.
      again = await runner.run(tickRequest(daily, new Date()));
    } while (again.outcome === 'skipped' && again.reason === 'busy');
    expect(again).toMatchObject({ reason: 'unchanged' });
    await refreshes.pause(Daily);
    await refreshes.resume(Daily);
    await refreshes.running();
    await refreshes.cancel(Daily);
    await refreshes.history(Daily);
    await refreshes.historyAll({
      views: [Daily],
      olderThan: { startedAt: new Date(), runId: randomUUID() },
    });
    await refreshes.recentRuns();
    expect(await refreshes.status(Daily)).toMatchObject({ isPopulated: true });
    expect(await refreshes.drift(Daily)).toMatchObject({ isDrifted: false });
    await database.query(`INSERT INTO public.orders VALUES (2, 'two')`);
    await database.until(`SELECT FROM ${QUOTED_DAILY} WHERE id OPERATOR(pg_catalog.=) 2`);
    await expect(refreshes.refresh(Fragile)).rejects.toThrow('22P02');
    await database.query(`UPDATE public.orders SET note = '2'`);
  };

  const useSchema = async (running: TestingModule): Promise<void> => {
    const schema = running.get(SchemaService);
    expect(await schema.diff()).toEqual([]);
    await schema.verify();
    expect(await schema.inspect({ schema: 'Odd schema' })).toMatchObject([
      { view: 'Odd schema.daily "orders"', dependencies: [{ schema: 'public', name: 'orders' }] },
    ]);
    const runner = running.get(DataSource).createQueryRunner();
    await alterTable(runner, 'orders', () =>
      runner.query(`ALTER TABLE public.orders ALTER COLUMN note TYPE pg_catalog.varchar`),
    );
    await runner.release();
  };

  const useReleases = async (): Promise<void> => {
    for (const statement of BELONGINGS) {
      await database.query(statement);
    }
    const next = await start(NEXT, { prune: true, scheduling: false });
    expect(await next.get(SchemaService).diff()).toEqual([]);
    await database.query(`CREATE SCHEMA moved`);
    const last = await start(LAST, { synchronize: false, scheduling: false });
    const schema = last.get(SchemaService);
    const file = await schema.generateMigration({
      name: 'back',
      rebuildStrategy: 'drop-and-create',
    });
    const Migration = await loadMigration(file);
    // TypeORM's own executor trusts the search_path.
    await last
      .get(DataSource)
      .transaction((manager) => new Migration().up(manager.queryRunner as QueryRunner));
    expect(await schema.diff()).toEqual([]);
    await schema.dropAll();
    const circle = await start(CIRCLE, { synchronize: false, scheduling: false });
    await expect(circle.get(SchemaService).plan()).rejects.toThrow('circle');
  };

  /** Statements that the library sends only in rare situations. */
  const useRareOnes = async (running: TestingModule): Promise<void> => {
    const pool = managed(running).database;
    const { stateSchema } = pool;
    const view = definitionOf(running, Daily).name;
    await pool.bookkeeping(async (session) => {
      await session.queryAll([
        cancelLockHolder('0', 0),
        selectLockHeldBy('0', 0),
        compactChanges(stateSchema, { source: '0', fromXid: '0', batchSize: 1 }),
        selectRun(stateSchema, randomUUID()),
        selectNullKeys(view),
        selectServerFacts(),
        selectStandbys(),
        selectReplicas('0/0'),
        selectWalPosition(),
        selectViewRisks([view]),
        selectBackendPid(),
        claimTicks(stateSchema, [{ view, tick: new Date() }], 1),
        setTablespace(view, 'pg_default'),
        claimViews(stateSchema, 'other', [view]),
        releaseViews(stateSchema, 'other', [view]),
        ...advanceRecords(stateSchema, 0),
        replaceFingerprint(stateSchema, view, { before: '', after: '' }),
      ]);
    });
  };

  /** Compares a view that another role owns: `pg_monitor`, which every server has. */
  const useDriftOfAnother = async (running: TestingModule): Promise<void> => {
    await database.query(`GRANT SELECT ON public.orders TO pg_monitor`);
    await database.query(`GRANT USAGE, CREATE ON SCHEMA "Odd schema" TO pg_monitor`);
    await database.query(`ALTER MATERIALIZED VIEW ${QUOTED_DAILY} OWNER TO pg_monitor`);
    await running.get(RefreshService).drift(Daily);
    await database.query(`ALTER MATERIALIZED VIEW ${QUOTED_DAILY} OWNER TO CURRENT_USER`);
  };

  const useAll = async (running: TestingModule): Promise<void> => {
    await useRefreshes(running);
    await useDriftOfAnother(running);
    await useSchema(running);
    await useRareOnes(running);
    await useReleases();
  };

  const PATHS = [
    ['as PostgreSQL comes', '"$user", public'],
    ['before pg_catalog', 'public, pg_catalog'],
  ] as const;
  const ORDERS = ['first', 'later'] as const;
  // A sample still has each path and each order.
  const cases = PATHS.flatMap(([what, searchPath], at) =>
    oneIn(2, ORDERS, at).map((order) => [order, what, searchPath] as const),
  );

  it.each(cases)(
    'are not taken for those of PostgreSQL if they are created %s, with the search_path %s',
    async (order, _, searchPath) => {
      await database.query(`ALTER DATABASE ${database.name} SET search_path = ${searchPath}`);
      if (order === 'first') {
        await setTraps(database);
      }
      const running = await start();
      if (order === 'later') {
        await setTraps(database);
      }
      await useAll(running);
      expect(await trappedCount(database)).toBe(0);
    },
  );

  // Behind a pooler, no session listens, so those statements are never sent.
  const unlessPooled = process.env.TEST_POOLER_URL === undefined ? it : it.skip;

  unlessPooled('every statement of the library has been gone through', async () => {
    const missing: string[] = [];
    const directory = path.resolve('lib/postgres');
    const calledIn = await called.end();
    for (const file of readdirSync(directory).filter((name) => name.endsWith('.sql.ts'))) {
      const exports = (await import(path.join(directory, file))) as Record<string, unknown>;
      const names = calledIn.get(path.join(directory, file));
      for (const [name, value] of Object.entries(exports)) {
        if (typeof value === 'function' && !EXCEPTED.includes(name) && !names?.has(name)) {
          missing.push(`${file}: ${name}`);
        }
      }
    }
    expect(missing).toEqual([]);
  });
});
