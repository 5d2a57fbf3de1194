import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { DataSource } from 'typeorm';
import { RefreshService, SchemaService } from '../../../lib/index.js';
import { check } from '../../../lib/cli/check.js';
import { doctor } from '../../../lib/cli/doctor.js';
import { explain } from '../../../lib/cli/explain.js';
import { oneIn } from '../../support/matrix.js';
import { managed } from '../../support/managed.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootRelease } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { plainViewClass, type TestView } from '../../support/view-class.js';

const NAME = { schema: 'Far away', name: 'Daily "Total"' };
const VIEW = '"Far away"."Daily ""Total"""';

/**
 * The attack of an owner that has only LOGIN: the query, an index, statistics and a plain view below call a function
 * that tries to become superuser. The planner evaluates the calls with a constant even if there is no row.
 */
const BY_HAND = `
CREATE VIEW stash.plain AS SELECT stash.attack('plain') || id AS text, id FROM public.items;
CREATE MATERIALIZED VIEW ${VIEW} AS
  SELECT id, amount, stash.attack('row ' || id) AS who
  FROM public.items JOIN stash.plain USING (id)
  WHERE stash.attack('constant') IS NOT NULL AND plain.text IS NOT NULL;
CREATE UNIQUE INDEX "Daily ""Total""_key" ON ${VIEW} (id);
CREATE INDEX by_hand ON ${VIEW} ((stash.attack('index') || who))
  WHERE stash.attack('predicate') IS NOT NULL;`;

const STATISTICS = `CREATE STATISTICS stash.by_hand ON (stash.attack(who)), id FROM ${VIEW};`;

const daily = (expression: string, given: Partial<TestView> = {}): TestView => ({
  name: 'Daily "Total"',
  schema: 'Far away',
  expression,
  columns: ['id'],
  key: ['id'],
  ...given,
});

const above: TestView = { name: 'above', expression: `SELECT id FROM ${VIEW}`, key: ['id'] };
const ATTACKED = `SELECT id, amount, stash.attack('declared ' || id) AS who FROM public.items
  WHERE stash.attack('constant of the code') IS NOT NULL`;
const PLAIN = 'SELECT id, amount, id::text AS who FROM items';
const CHANGED = `${ATTACKED} AND id > 1`;
const INDEXED = {
  indexes: [
    { name: 'declared', keys: [{ expression: `stash.attack('index of the code') || who` }] },
  ],
};
const REBUILD = { unmanagedDependents: 'rebuild' } as const;
const WIDEN = 'ALTER TABLE items ALTER COLUMN amount TYPE bigint';

interface Way {
  name: string;
  work: (app: () => TestingModule, release: Release) => Promise<unknown>;
}

type Release = (
  views: Parameters<typeof bootRelease>[1],
  options?: Parameters<typeof bootRelease>[2],
) => Promise<void>;

describe.each([['public.above', true] as const, ['nothing', false] as const])(
  'the query of a view of another owner, with %s above it',
  (_, isRead) => {
    let database: TestDatabase;
    let app: TestingModule | undefined;
    let owner: string;

    const views = (expression: string, given: Partial<TestView> = {}): TestView[] => [
      daily(expression, given),
      ...(isRead ? [above] : []),
    ];

    beforeAll(async () => {
      database = await TestDatabase.create();
      owner = `owner_${database.name}`;
      await database.query(`CREATE ROLE "${owner}" LOGIN`);
    });

    beforeEach(async () => {
      await database.query(`
        ALTER ROLE "${owner}" NOSUPERUSER;
        DROP SCHEMA IF EXISTS materialized_views, "Far away", stash, public CASCADE;
        CREATE SCHEMA public;
        CREATE SCHEMA stash;
        CREATE TABLE items AS SELECT n AS id, n AS amount FROM generate_series(1, 3) AS n;
        GRANT USAGE ON SCHEMA public TO PUBLIC;
        GRANT SELECT ON items TO PUBLIC;
        CREATE SEQUENCE stash.as_owner;
        CREATE SEQUENCE stash.as_another;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA stash TO PUBLIC;
        GRANT USAGE ON SCHEMA stash TO PUBLIC;
        CREATE FUNCTION stash.attack(what text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT what'`);
      await release(views(PLAIN));
      await database.query(`
        GRANT CREATE, USAGE ON SCHEMA public, stash, "Far away" TO "${owner}";
        ALTER MATERIALIZED VIEW ${VIEW} OWNER TO "${owner}";
        ALTER FUNCTION stash.attack OWNER TO "${owner}"`);
      await asOwner(attackFunctions(owner));
    });

    afterEach(async () => {
      await app?.close();
      app = undefined;
    });

    afterAll(async () => {
      await database.query(`DROP OWNED BY "${owner}" CASCADE; DROP ROLE "${owner}"`);
      await database.drop();
    });

    async function release(...given: Parameters<Release>): Promise<void> {
      await app?.close();
      app = undefined;
      app = await bootRelease(database, ...given);
    }

    async function asOwner(script: string): Promise<void> {
      const session = await database.session();
      await session.query(`SET SESSION AUTHORIZATION "${owner}"`);
      await session.query(script);
      await session.end();
    }

    /** The owner redefines the view; the view that reads it is created again. */
    async function redefine(): Promise<void> {
      await database.query('DROP MATERIALIZED VIEW IF EXISTS above');
      await asOwner(`DROP MATERIALIZED VIEW ${VIEW}; ${BY_HAND}`);
      const [{ version }] = (await database.query(
        `SELECT current_setting('server_version_num')::int AS version`,
      )) as [{ version: number }];
      await asOwner(version >= 140000 ? STATISTICS : '');
      if (isRead) {
        // Planning a query on the view considers its indexes, which evaluates the constants in them.
        await asOwner(
          `CREATE MATERIALIZED VIEW above AS SELECT id FROM ${VIEW}; CREATE UNIQUE INDEX above_key ON above (id)`,
        );
      }
      await database.query(
        `ALTER SEQUENCE stash.as_owner RESTART; ALTER SEQUENCE stash.as_another RESTART`,
      );
    }

    const schema = (get: () => TestingModule): SchemaService => get().get(SchemaService);
    const refreshes = (get: () => TestingModule): RefreshService => get().get(RefreshService);
    const strategies = ['side-by-side', 'drop-and-create'] as const;

    const WAYS: Way[] = [
      ...strategies.flatMap((rebuildStrategy): Way[] => [
        {
          name: `a boot that changes it, ${rebuildStrategy}`,
          work: (_app, next) =>
            next(views(CHANGED, INDEXED), { rebuildStrategy, onDrift: 'apply' }),
        },
        {
          name: `a boot that changes it to no data, ${rebuildStrategy}`,
          work: async (get, next) => {
            await next(views(CHANGED, { ...INDEXED, withData: false }), { rebuildStrategy });
            await refreshes(get).refresh(VIEW_NAME);
          },
        },
        {
          name: `a migration up and down, ${rebuildStrategy}`,
          work: async (get, next) => {
            await next(views(CHANGED, INDEXED), { synchronize: false });
            const file = await schema(get).generateMigration({ name: 'Change', rebuildStrategy });
            await runMigrations(database, file, async (dataSource: DataSource) => {
              await dataSource.runMigrations();
              await dataSource.undoLastMigration();
            });
          },
        },
        {
          name: `a plan, ${rebuildStrategy}`,
          work: async (get, next) => {
            await next(views(CHANGED, INDEXED), { synchronize: false });
            await schema(get).apply(await schema(get).plan({ rebuildStrategy }));
          },
        },
        {
          name: `a boot that prunes it, ${rebuildStrategy}`,
          work: (_app, next) => next([], { prune: true, rebuildStrategy }),
        },
      ]),
      { name: 'a diff', work: (get) => schema(get).diff() },
      {
        name: 'a diff of its indexes',
        work: async (get, next) => {
          await database.query(
            `DROP MATERIALIZED VIEW IF EXISTS above; DROP MATERIALIZED VIEW ${VIEW}`,
          );
          await next(views(PLAIN));
          await database.query(`ALTER MATERIALIZED VIEW ${VIEW} OWNER TO "${owner}"`);
          await next(views(PLAIN, INDEXED));
          await schema(get).verify();
        },
      },
      {
        name: 'alterTable',
        work: (get) => schema(get).alterTable('items', (runner) => runner.query(WIDEN), REBUILD),
      },
      {
        name: 'alterTable of an emptied view',
        work: async (get) => {
          await database.query(`REFRESH MATERIALIZED VIEW ${VIEW} WITH NO DATA`);
          await schema(get).alterTable('items', (runner) => runner.query(WIDEN), REBUILD);
        },
      },
      {
        name: 'a boot that fills it',
        work: async (_app, next) => {
          await database.query(`REFRESH MATERIALIZED VIEW ${VIEW} WITH NO DATA`);
          await next(views(ATTACKED));
        },
      },
      // A swap is refused if another view reads this one.
      ...(['blocking', 'concurrently', 'swap'] as const)
        .filter((mode) => mode !== 'swap' || !isRead)
        .map((mode): Way => ({
          name: `a refresh, ${mode}`,
          work: (get) => refreshes(get).refresh(VIEW_NAME, { mode }),
        })),
      {
        name: 'a refresh in a transaction of the caller',
        work: (get) =>
          get()
            .get(DataSource)
            .transaction((manager) => refreshes(get).refresh(VIEW_NAME, { manager })),
      },
      { name: 'a search for drift', work: (get) => refreshes(get).drift(VIEW_NAME) },
      {
        name: 'a look of the command line',
        work: async (get) => {
          const source = managed(get());
          await doctor(source);
          await explain(source, []);
          await check(source, { freshness: true, data: true });
          await schema(get).inspect();
        },
      },
      {
        name: 'a boot that makes a plain view of it, and one that takes that back',
        work: async (_app, next) => {
          await asOwner('DROP INDEX "Far away".by_hand; DROP STATISTICS IF EXISTS stash.by_hand');
          await next([
            plainViewClass({ ...NAME, expression: CHANGED }),
            ...(isRead ? [above] : []),
          ]);
          await next(views(ATTACKED, INDEXED));
        },
      },
      {
        name: 'a search for drift where a plain view has its name',
        work: async (get) => {
          await database.query('DROP MATERIALIZED VIEW IF EXISTS above');
          await asOwner(
            `DROP MATERIALIZED VIEW ${VIEW};
             CREATE VIEW ${VIEW} AS SELECT id FROM public.items WHERE stash.attack('x') = 'y'`,
          );
          await expect(refreshes(get).drift(VIEW_NAME)).rejects.toMatchObject({
            code: 'MV_VIEW_MISSING',
          });
        },
      },
    ];

    it.each(oneIn(2, WAYS, isRead ? 1 : 0))('runs as the owner in $name', async ({ work }) => {
      await redefine();

      await work(() => app!, release);

      const [found] = await database.query(
        `SELECT (SELECT is_called FROM stash.as_another) AS is_another,
                (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND classid = 666
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) AS locks,
                (SELECT rolsuper FROM pg_roles WHERE rolname = $1) AS is_superuser`,
        [owner],
      );
      expect(found).toEqual({ is_another: false, locks: 0, is_superuser: false });
    });
  },
);

const VIEW_NAME = 'Far away.Daily "Total"';

/** A volatile function does the work, because a function declared immutable may not run commands itself. */
function attackFunctions(owner: string): string {
  return `
CREATE FUNCTION stash.escalate(what text) RETURNS text LANGUAGE plpgsql AS $f$
BEGIN
  BEGIN
    EXECUTE 'RESET ROLE';
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  BEGIN
    IF current_user = '${owner}' THEN
      PERFORM nextval('stash.as_owner');
    ELSE
      PERFORM nextval('stash.as_another');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    -- Of a transaction that cannot write nothing stays but this.
    IF current_user <> '${owner}' THEN
      PERFORM pg_advisory_lock(666, 1);
    END IF;
  END;
  BEGIN
    EXECUTE 'ALTER ROLE "${owner}" SUPERUSER';
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
  RETURN what;
END $f$;
CREATE OR REPLACE FUNCTION stash.attack(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN RETURN stash.escalate(what); END $f$;`;
}
