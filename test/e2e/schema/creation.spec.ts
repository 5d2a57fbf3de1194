import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { Index, ViewColumn } from 'typeorm';
import {
  MaterializedViewEntity,
  MaterializedViewsModule,
  SchemaSyncError,
  SyncLockTimeoutError,
  type ViewClass,
} from '../../../lib/index.js';
import { syncLockKey } from '../../../lib/postgres/advisory-lock.js';
import { Replica } from '../../support/replica-process.js';
import { boot, typeOrm } from '../../support/test-app.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';

@MaterializedViewEntity({
  name: 'Total of "totals"',
  schema: 'Far away',
  expression: 'SELECT sum(total) AS total FROM totals_by_plain_view',
})
class Top {
  @ViewColumn() total!: string;
}

@MaterializedViewEntity({
  name: 'totals',
  expression: 'SELECT day, sum(amount) AS total FROM amounts GROUP BY day',
})
@Index('totals_day', ['day'], { unique: true })
class Totals {
  @ViewColumn() day!: string;
  @ViewColumn() total!: string;
}

@MaterializedViewEntity({
  name: 'totals_by_plain_view',
  expression: 'SELECT day, total FROM totals WHERE total > 0;',
})
class Between {
  @ViewColumn() day!: string;
  @ViewColumn() total!: string;
}

@MaterializedViewEntity({ name: 'orphan', expression: 'SELECT * FROM nowhere.to_be_found' })
class Orphan {
  @ViewColumn() id!: number;
}

const CHAIN = [Top, Between, Totals];

describe('creation at boot', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE amounts (day text, amount int)`);
    await database.query(`INSERT INTO amounts VALUES ('mon', 1), ('tue', 2)`);
  });

  beforeEach(async () => {
    await database.query(`DROP SCHEMA IF EXISTS materialized_views, "Far away" CASCADE`);
    await database.query(`DROP MATERIALIZED VIEW IF EXISTS totals CASCADE`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(async () => {
    await database.drop();
  });

  const bootViews = (
    entities: ViewClass[],
    options: Parameters<typeof MaterializedViewsModule.forRoot>[0] = {},
  ): Promise<TestingModule> =>
    boot(
      typeOrm(database, { autoLoadEntities: false, entities: entities as (new () => object)[] }),
      MaterializedViewsModule.forRoot(options),
    );

  const oids = (): Promise<Record<string, unknown>[]> =>
    database.query(
      `SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
       WHERE relkind IN ('m', 'i') AND nspname IN ('public', 'Far away') ORDER BY relname`,
    );

  it.each([
    ['from the top', CHAIN],
    ['from the bottom', [...CHAIN].reverse()],
    ['from the middle', [Between, Top, Totals]],
  ])(
    'creates schemas, views and indexes in order of dependency, declared %s',
    async (_, entities) => {
      app = await bootViews(entities);
      expect(await database.query(`SELECT * FROM "Far away"."Total of ""totals"""`)).toEqual([
        { total: '3' },
      ]);
      expect((await oids()).map((row) => row.relname)).toEqual([
        'Total of "totals"',
        'totals',
        'totals_by_plain_view',
        'totals_day',
      ]);
      const history = await database.query(
        `SELECT view_name, trigger, outcome, mode_reason FROM materialized_views.refresh_history`,
      );
      expect(history).toHaveLength(3);
      expect(history[0]).toMatchObject({
        view_name: 'totals',
        trigger: 'sync',
        outcome: 'refreshed',
        mode_reason: 'created',
      });
    },
  );

  it('changes nothing that exists, and then needs no CREATE privilege', async () => {
    app = await bootViews(CHAIN);
    const before = await oids();
    await app.close();
    const role = `reader_${database.name}`;
    await database.query(`CREATE ROLE ${role} LOGIN`);
    await database.query(`GRANT USAGE ON SCHEMA materialized_views TO ${role}`);
    await database.query(`GRANT SELECT ON ALL TABLES IN SCHEMA materialized_views TO ${role}`);
    const url = new URL(database.url);
    url.username = role;
    app = await boot(
      typeOrm(database, { url: url.href, autoLoadEntities: false, entities: CHAIN }),
      MaterializedViewsModule.forRoot(),
    );
    expect(await oids()).toEqual(before);
    await app.close();
    app = undefined;
    await database.query(`DROP OWNED BY ${role}`);
    await database.query(`DROP ROLE ${role}`);
  });

  it('adopts a view that was created by other means, and adds its missing index', async () => {
    await database.query(
      `CREATE MATERIALIZED VIEW totals AS
       SELECT day, sum(amount) AS total FROM amounts GROUP BY day WITH NO DATA`,
    );
    const [before] = await oids();
    app = await bootViews([Totals], { synchronize: 'create' });
    expect((await oids()).map((row) => row.relname)).toEqual(['totals', 'totals_day']);
    expect((await oids())[0]).toEqual(before);
  });

  it('names the missing relation, and changes nothing', async () => {
    const failure: unknown = await bootViews([Totals, Orphan]).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SchemaSyncError);
    expect(failure).toMatchObject({ view: 'public.orphan', cause: { code: '42P01' } });
    expect(String(failure)).toMatch(
      /Could not make materialized view "public\.orphan" of Orphan: 42P01: .*"nowhere\.to_be_found".*Nothing has been changed/,
    );
    expect(await oids()).toEqual([]);
    expect(
      await database.query(`SELECT FROM pg_namespace WHERE nspname = 'materialized_views'`),
    ).toEqual([]);
  });

  it('refuses a name that another kind of relation has, before it creates anything', async () => {
    await database.query(`CREATE TABLE orphan ()`);
    await expect(bootViews([Totals, Orphan])).rejects.toThrow(
      /"public\.orphan" of Orphan: another relation \(pg_class\.relkind "r"\) has its name/,
    );
    await database.query(`DROP TABLE orphan`);
    expect(await oids()).toEqual([]);
  });

  it('waits at most syncTimeout for another process that creates', async () => {
    const other = await database.session();
    await other.query('SELECT pg_advisory_lock($1::bigint)', [syncLockKey()]);
    await expect(bootViews([Totals], { syncTimeout: 50 })).rejects.toThrow(SyncLockTimeoutError);

    const waiting = bootViews([Totals], { statementTimeout: '1s' });
    const [start] = await database.query('SELECT clock_timestamp() AS at');
    await database.until(`SELECT FROM ${ADVISORY_LOCKS} WHERE NOT granted`);
    await database.until(`SELECT WHERE clock_timestamp() > $1::timestamptz + interval '1200 ms'`, [
      start?.at,
    ]);
    await other.end();
    app = await waiting;
    expect(await oids()).toHaveLength(2);
  });

  it('is done once when eight processes boot together on an empty database', async () => {
    const replicas = Array.from({ length: 8 }, () => Replica.start(database.url));
    await Promise.all(replicas.map((replica) => replica.until('booted')));
    const history = await database.query(
      `SELECT view_name, count(*)::int AS count FROM materialized_views.refresh_history GROUP BY 1`,
    );
    expect(history).toEqual([
      { view_name: 'ticking', count: 1 },
      { view_name: 'ticking_total', count: 1 },
    ]);
    const ends = await Promise.all(replicas.map((replica) => replica.stop()));
    expect(ends).toEqual(Array(8).fill('SIGTERM'));
    expect(replicas.map((replica) => replica.stderr).join('')).toBe('');
    await database.query('DROP MATERIALIZED VIEW ticking CASCADE');
  });

  it('logs what it created', async () => {
    const lines: unknown[] = [];
    const log = Logger.prototype.log;
    Logger.prototype.log = (line: unknown) => lines.push(line);
    app = await bootViews([Totals]).finally(() => {
      Logger.prototype.log = log;
    });
    expect(lines).toContainEqual('Created materialized view "public.totals"');
  });
});
