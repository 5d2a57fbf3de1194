import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { viewName } from '../../../lib/definition/view-definition.js';
import { refreshErrorFrom } from '../../../lib/errors/refresh-error.factory.js';
import {
  InsufficientPrivilegeError,
  MaterializedViewsModule,
  RefreshLockError,
  SchemaService,
  SwapRefusedError,
  MaterializedViewChannels,
  type SyncReport,
  type ViewClass,
} from '../../../lib/index.js';
import { refreshLockKey } from '../../../lib/postgres/advisory-lock.js';
import { tryLock } from '../../../lib/postgres/advisory-lock.sql.js';
import { Database } from '../../../lib/postgres/database.js';
import { swapRows } from '../../../lib/schema/row-swap.js';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { definitionOf } from '../../support/managed.js';
import { catalog } from '../../support/catalog.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const STATE_SCHEMA = 'materialized_views';
const SALES = '"Far away"."Hot ""Sales"""';

/** Each row has the release that was current when it was computed. */
const sales: TestView = {
  name: 'Hot "Sales"',
  schema: 'Far away',
  expression: 'SELECT id, release FROM items, current_release WHERE public.gate()',
  columns: ['id', 'release'],
  key: ['id'],
  indexes: [{ name: 'By "Release"', keys: ['release', 'id'] }],
};

const READ = `SELECT release, count(*)::int AS items FROM ${SALES} GROUP BY release`;
const rowsOf = (release: number): unknown[] => [{ release, items: 100 }];

describe('a refresh by swap', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let own: Database | undefined;
  let view: ViewClass;
  let sessions: Client[] = [];
  let reports: SyncReport[] = [];
  let lockTimeoutMs = 5_000;
  const collect = (report: unknown): void => void reports.push(report as SyncReport);

  beforeAll(async () => {
    subscribe(MaterializedViewChannels.sync, collect);
    database = await TestDatabase.create();
    for (const role of ['one', 'two', 'app']) {
      await database.query(`CREATE ROLE "${role}_${database.name}" LOGIN PASSWORD 'secret'`);
    }
  });

  beforeEach(async () => {
    reports = [];
    lockTimeoutMs = 5_000;
    await database.query(`DROP SCHEMA IF EXISTS ${STATE_SCHEMA}, "Far away", public CASCADE`);
    await database.query('CREATE SCHEMA public');
    await database.createGate();
    await database.query('CREATE TABLE items AS SELECT generate_series(1, 100) AS id');
    await database.query('CREATE TABLE current_release AS SELECT 1 AS release');
  });

  afterEach(async () => {
    await Promise.all(sessions.map((client) => client.end()));
    sessions = [];
    await own?.close();
    own = undefined;
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    unsubscribe(MaterializedViewChannels.sync, collect);
    const roles = ['one', 'two', 'app'].map((role) => `"${role}_${database.name}"`).join(', ');
    await database.query(`DROP OWNED BY ${roles} CASCADE`);
    await database.query(`DROP ROLE ${roles}`);
    await database.drop();
  });

  async function release(given: TestView = sales): Promise<SchemaService> {
    await app?.close();
    app = undefined;
    view = viewClass(given);
    app = await boot(
      typeOrm(database, { autoLoadEntities: false, entities: [view as new () => object] }),
      MaterializedViewsModule.forRoot({ scheduling: false, views: [view] }),
    );
    return app.get(SchemaService);
  }

  /** Refreshes the released view by swap. */
  async function swap(url = database.url): Promise<void> {
    const definition = definitionOf(app!, view);
    own ??= new Database({
      connection: { connectionString: url },
      poolSize: 2,
      stateSchema: STATE_SCHEMA,
      onConnectionError: () => undefined,
    });
    try {
      await own.transaction({ lockTimeoutMs, statementTimeoutMs: 0 }, async (session) => {
        await session.query(tryLock(refreshLockKey(definition.name)));
        await swapRows(session, { stateSchema: STATE_SCHEMA, definition, lockTimeoutMs });
      });
    } catch (cause) {
      const failure = { isTimeout: false, isOwnStatement: false };
      throw refreshErrorFrom(cause, { ...failure, view: viewName(definition) });
    }
  }

  async function session(): Promise<Client> {
    const client = await database.session();
    sessions.push(client);
    return client;
  }

  const nextRelease = (): Promise<unknown> =>
    database.query('UPDATE current_release SET release = release + 1');

  const oid = async (): Promise<unknown> =>
    (await database.query('SELECT to_regclass($1)::oid AS oid', [SALES]))[0]?.oid;

  const fingerprint = async (): Promise<unknown> =>
    (await database.query(`SELECT fingerprint FROM ${STATE_SCHEMA}.view_state`))[0]?.fingerprint;

  /** Resolves when a session waits for a lock on a relation. */
  const untilWaitingForRelation = (): Promise<unknown> =>
    database.until(
      `SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE datname = current_database() AND locktype = 'relation' AND NOT granted`,
    );

  it('gives the view its new rows, and keeps everything that belongs to it', async () => {
    const [one, two] = [`"one_${database.name}"`, `"two_${database.name}"`];
    const schema = await release();
    for (const statement of [
      `CREATE INDEX "By Hand" ON ${SALES} (abs(release), id DESC) WHERE release > 0`,
      `ALTER INDEX "Far away"."By Hand" ALTER COLUMN 1 SET STATISTICS 77`,
      `COMMENT ON INDEX "Far away"."By Hand" IS 'it''s mine'`,
      `COMMENT ON MATERIALIZED VIEW ${SALES} IS 'hot "sales"'`,
      `COMMENT ON COLUMN ${SALES}.release IS 'the number'`,
      `ALTER MATERIALIZED VIEW ${SALES} ALTER COLUMN id SET STATISTICS 55`,
      `ALTER MATERIALIZED VIEW ${SALES} ALTER COLUMN id SET (n_distinct = 7)`,
      `ALTER MATERIALIZED VIEW ${SALES} SET (fillfactor = 80, autovacuum_enabled = false)`,
      `ALTER MATERIALIZED VIEW ${SALES} CLUSTER ON "Hot ""Sales""_key"`,
      `CREATE STATISTICS "Far away"."Hand Made" (ndistinct) ON id, release FROM ${SALES}`,
      `COMMENT ON STATISTICS "Far away"."Hand Made" IS 'for the planner'`,
      `GRANT SELECT ON ${SALES} TO PUBLIC`,
      `GRANT SELECT (release) ON ${SALES} TO ${two} WITH GRANT OPTION`,
      `GRANT SELECT ON items, current_release TO ${one}`,
      `GRANT USAGE ON SCHEMA public TO ${one}`,
      `GRANT CREATE, USAGE ON SCHEMA "Far away" TO ${one}`,
      `ALTER MATERIALIZED VIEW ${SALES} OWNER TO ${one}`,
      `ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ${two}`,
    ]) {
      await database.query(statement);
    }
    const before = { catalog: await catalog(database), fingerprint: await fingerprint() };
    const oldOid = await oid();
    await nextRelease();
    await swap();
    await database.query(`ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM ${two}`);
    expect(await database.query(READ)).toEqual(rowsOf(2));
    expect(await oid()).not.toBe(oldOid);
    expect({ catalog: await catalog(database), fingerprint: await fingerprint() }).toEqual(before);
    expect(await schema.diff()).toEqual([]);
    const [statistics] = await database.query(
      'SELECT reltuples::int AS rows FROM pg_class WHERE oid = $1::regclass',
      [SALES],
    );
    expect(statistics).toEqual({ rows: 100 });
    await release();
    expect(reports.at(-1)?.views).toMatchObject([{ outcome: 'unchanged' }]);
  });

  it('can be done again and again', async () => {
    await release();
    const before = await catalog(database);
    for (let next = 2; next <= 5; next++) {
      await nextRelease();
      await swap();
      expect(await database.query(READ)).toEqual(rowsOf(next));
    }
    expect(await catalog(database)).toEqual(before);
  });

  it('fills a view that has no data', async () => {
    const schema = await release({ ...sales, withData: false });
    await expect(database.query(READ)).rejects.toThrow(/has not been populated/);
    await swap();
    expect(await database.query(READ)).toEqual(rowsOf(1));
    expect(await schema.diff()).toEqual([]);
  });

  it('causes no difference if PostgreSQL prints a definition differently', async () => {
    const schema = await release({
      ...sales,
      expression: `SELECT id, 1 AS release FROM items WHERE 'a'::varchar IN ('a', 'b')`,
      indexes: [{ name: 'few', keys: ['id'], where: `(id::varchar) IN ('1', '2')`, unique: true }],
    });
    const before = await fingerprint();
    await swap();
    // The text differs, but is remembered as the text of the declared view.
    expect(await fingerprint()).not.toBe(before);
    expect(await schema.diff()).toEqual([]);
    await database.query(`UPDATE ${STATE_SCHEMA}.view_state SET fingerprint = NULL`);
    expect(await schema.diff()).toEqual([]);
  });

  it('uses the definition in the database, not the declared one', async () => {
    await release();
    const schema = await release({
      ...sales,
      expression: 'SELECT id, -release AS release FROM items, current_release',
    }).then(async (service) => {
      await database.query(`DROP MATERIALIZED VIEW ${SALES}`);
      await database.query(
        `CREATE MATERIALIZED VIEW ${SALES} AS SELECT id, 10 * release AS release FROM items, current_release`,
      );
      return service;
    });
    const [before] = await schema.diff();
    await nextRelease();
    await swap();
    expect(await database.query(READ)).toEqual(rowsOf(20));
    expect((await schema.diff())[0]).toEqual(before);
  });

  describe('readers', () => {
    it('in a loop never fail, and see the old rows or the new ones', async () => {
      await release();
      const latest = [1, 1];
      const strange: unknown[] = [];
      let committed = 1;
      let isOver = false;
      const loop = async (reader: number, name?: string): Promise<void> => {
        const client = await session();
        while (!isOver) {
          const { rows } = await client.query<{ release: number; items: number }>({
            name,
            text: READ,
          });
          const [row] = rows;
          const isWhole = rows.length === 1 && row?.items === 100;
          if (!isWhole || row.release < (latest[reader] ?? 0) || row.release > committed + 1) {
            strange.push(rows);
          }
          latest[reader] = row?.release ?? 0;
        }
      };
      const loops = Promise.all([loop(0), loop(1, 'prepared')]);
      loops.catch(() => {
        isOver = true;
      });
      for (; committed <= 10 && !isOver; committed++) {
        await nextRelease();
        await swap();
        // Waits until both have read the new rows.
        while (!isOver && latest.some((seen) => seen !== committed + 1)) {
          await database.query('SELECT 1');
        }
      }
      isOver = true;
      await loops;
      expect({ strange, committed }).toEqual({ strange: [], committed: 11 });
    });

    it('read the old rows while the new ones are computed', async () => {
      await release();
      await nextRelease();
      const gate = await database.closeGate();
      const swapping = swap();
      await gate.untilReached();
      expect(await database.query(READ)).toEqual(rowsOf(1));
      await gate.open();
      await swapping;
      expect(await database.query(READ)).toEqual(rowsOf(2));
    });

    it('with an older snapshot do not see an empty view', async () => {
      await release();
      const old = await session();
      await old.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      await old.query('SELECT count(*) FROM items');
      await nextRelease();
      await swap();
      expect((await old.query(READ)).rows).toEqual(rowsOf(2));
    });

    it('that stay for longer than the limit keep the old rows, and others are let through', async () => {
      await release();
      const before = { catalog: await catalog(database), oid: await oid() };
      const long = await session();
      await long.query('BEGIN');
      await long.query(READ);
      await nextRelease();
      lockTimeoutMs = 300;
      const swapping = swap();
      swapping.catch(() => undefined);
      await untilWaitingForRelation();
      expect(await database.query(READ)).toEqual(rowsOf(1));
      await expect(swapping).rejects.toThrow(RefreshLockError);
      expect((await long.query(READ)).rows).toEqual(rowsOf(1));
      expect({ catalog: await catalog(database), oid: await oid() }).toEqual(before);
      await long.query('COMMIT');
      await swap();
      expect(await database.query(READ)).toEqual(rowsOf(2));
    });

    it('that end in time let it through', async () => {
      await release();
      const long = await session();
      await long.query('BEGIN');
      await long.query(READ);
      await nextRelease();
      lockTimeoutMs = 30_000;
      const swapping = swap();
      await untilWaitingForRelation();
      await long.query('COMMIT');
      await swapping;
      expect(await database.query(READ)).toEqual(rowsOf(2));
    });
  });

  describe('is refused before anything is built', () => {
    it.each([
      ['a view', 'CREATE VIEW v AS SELECT * FROM $', 'view public.v'],
      [
        'a materialized view',
        'CREATE MATERIALIZED VIEW "M v" AS SELECT id FROM $',
        'materialized view public."M v"',
      ],
      [
        'a function over its rows',
        `CREATE FUNCTION public.f(r $) RETURNS int LANGUAGE sql AS 'SELECT 1'`,
        /function public\.f\("Far away"\."Hot ""Sales"""\)/,
      ],
      ['a column of its row type', 'CREATE TABLE t (r $[])', 'table public.t'],
      [
        'a rule of a table',
        'CREATE RULE r AS ON INSERT TO items DO ALSO SELECT count(*) FROM $',
        'rule r on table public.items',
      ],
      [
        'a policy of a table',
        'CREATE POLICY p ON items USING (id IN (SELECT id FROM $))',
        'policy p on table public.items',
      ],
    ])('when %s depends on it', async (_, statement, named) => {
      const schema = await release();
      await database.query(statement.replaceAll('$', SALES));
      // From now on, the view's query fails.
      await database.query(`CREATE OR REPLACE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN RAISE 'it was built'; END $$`);
      const before = await catalog(database);
      const error: unknown = await swap().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SwapRefusedError);
      expect(error).toMatchObject({ code: 'MV_SWAP_REFUSED', view: 'Far away.Hot "Sales"' });
      expect((error as Error).message).toMatch(named);
      expect(await catalog(database)).toEqual(before);
      expect(await database.query(READ)).toEqual(rowsOf(1));
      expect(await schema.diff()).toEqual([]);
    });
  });

  describe('while its rows are computed', () => {
    it('leaves nothing behind when its connection breaks', async () => {
      await release();
      const before = { catalog: await catalog(database), oid: await oid() };
      await nextRelease();
      const gate = await database.closeGate();
      const swapping = swap();
      swapping.catch(() => undefined);
      await gate.untilReached();
      await database.query(
        `SELECT pg_terminate_backend(pid) FROM ${ADVISORY_LOCKS} WHERE NOT granted`,
      );
      await expect(swapping).rejects.toMatchObject({ code: 'MV_CONNECTION_FAILED' });
      await gate.open();
      expect({ catalog: await catalog(database), oid: await oid() }).toEqual(before);
      expect(await database.query(READ)).toEqual(rowsOf(1));
      expect(await database.query(`SELECT FROM pg_class WHERE relname LIKE 'mv\\_build%'`)).toEqual(
        [],
      );
    });

    it('loses no privilege that somebody grants', async () => {
      await release();
      const gate = await database.closeGate();
      const swapping = swap();
      swapping.catch(() => undefined);
      await gate.untilReached();
      await database.query(`GRANT SELECT ON ${SALES} TO PUBLIC`);
      const before = await catalog(database);
      await gate.open();
      await expect(swapping).rejects.toMatchObject({
        code: 'MV_REFRESH_LOCKED',
        isTransient: true,
      });
      await swap();
      expect(await catalog(database)).toEqual(before);
    });

    it('is refused if something has come to depend on it', async () => {
      await release();
      const gate = await database.closeGate();
      const swapping = swap();
      swapping.catch(() => undefined);
      await gate.untilReached();
      await database.query(`CREATE VIEW late AS SELECT * FROM ${SALES}`);
      await gate.open();
      await expect(swapping).rejects.toThrow(/view public\.late/);
      expect(await database.query('SELECT count(*)::int AS rows FROM late')).toEqual([
        { rows: 100 },
      ]);
    });

    it.each([
      ['a hand-made index', `CREATE INDEX late ON ${SALES} (release)`],
      ["another client's refresh", `REFRESH MATERIALIZED VIEW CONCURRENTLY ${SALES}`],
    ])('makes %s wait, which then gets the new view', async (_, statement) => {
      await release();
      await nextRelease();
      const gate = await database.closeGate();
      const swapping = swap();
      await gate.untilReached();
      const other = await session();
      const waiting = other.query(statement);
      await untilWaitingForRelation();
      await gate.open();
      await swapping;
      await waiting;
      const [row] = await database.query('SELECT to_regclass($1) IS NOT NULL AS made', [
        '"Far away".late',
      ]);
      expect(row).toEqual({ made: statement.startsWith('CREATE') });
      expect(await database.query(READ)).toEqual(rowsOf(2));
    });

    it('makes a change of the schema wait', async () => {
      await release();
      const gate = await database.closeGate();
      const swapping = swap();
      await gate.untilReached();
      const changed = {
        ...sales,
        expression: 'SELECT id, -release AS release FROM items, current_release',
      };
      await app?.close();
      const changing = release(changed);
      await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted HAVING count(*) = 2`);
      await gate.open();
      await swapping;
      const schema = await changing;
      expect(await database.query(READ)).toEqual(rowsOf(-1));
      expect(await schema.diff()).toEqual([]);
    });

    it('makes alterTable wait', async () => {
      const schema = await release();
      await nextRelease();
      const gate = await database.closeGate();
      const swapping = swap();
      await gate.untilReached();
      const altering = schema.alterTable('public.items', (queryRunner) =>
        queryRunner.query('ALTER TABLE items ALTER COLUMN id TYPE bigint'),
      );
      await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted HAVING count(*) = 2`);
      await gate.open();
      await swapping;
      await altering;
      expect(await database.query(READ)).toEqual(rowsOf(2));
      expect(await schema.diff()).toEqual([]);
    });
  });

  describe('by a role that is not a superuser', () => {
    let url: string;
    let one: string;
    let role: string;

    beforeEach(async () => {
      [one, role] = [`"one_${database.name}"`, `"app_${database.name}"`];
      const roleUrl = new URL(database.url);
      roleUrl.username = `app_${database.name}`;
      roleUrl.password = 'secret';
      url = roleUrl.href;
      await release({
        ...sales,
        expression: 'SELECT id, current_user::text AS owner, release FROM items, current_release',
      });
      await database.query(`GRANT ${one} TO ${role}`);
      await database.query(`GRANT USAGE ON SCHEMA public, ${STATE_SCHEMA} TO ${one}`);
      await database.query(`GRANT SELECT ON items, current_release TO ${one}`);
      await database.query(`GRANT SELECT, UPDATE ON ${STATE_SCHEMA}.view_state TO ${one}`);
      await database.query(`GRANT USAGE, CREATE ON SCHEMA "Far away" TO ${one}`);
      await database.query(`ALTER MATERIALIZED VIEW ${SALES} OWNER TO ${one}`);
    });

    it('computes the rows as the owner of the view', async () => {
      const before = await catalog(database);
      await swap(url);
      expect(await database.query(`SELECT DISTINCT owner FROM ${SALES}`)).toEqual([
        { owner: `one_${database.name}` },
      ]);
      expect(await catalog(database)).toEqual(before);
    });

    it('says which grant the role needs', async () => {
      await database.query(`REVOKE CREATE ON SCHEMA "Far away" FROM ${one}`);
      const error: unknown = await swap(url).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(InsufficientPrivilegeError);
      expect((error as Error).message).toMatch(
        /"Far away\.Hot "Sales"" by swap.*CREATE on the schema/,
      );
    });
  });
});
