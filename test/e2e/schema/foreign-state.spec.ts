import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { randomBytes } from 'node:crypto';
import { DataSource } from 'typeorm';
import { Project } from '../../../lib/cli/project.js';
import {
  alterTable,
  ForeignStateSchemaError,
  type MigrationFile,
  RefreshService,
  SchemaService,
} from '../../../lib/index.js';
import { runMigrations } from '../../support/migration-runner.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const Numbers = viewClass({
  schema: 'Odd schema',
  name: 'the "numbers"',
  expression: 'SELECT 1 AS id',
});

const STATE = '"my ""own"" tables"';

describe('a state schema of another role', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let stranger: string;

  beforeEach(async () => {
    database = await TestDatabase.create();
    stranger = `stranger_${randomBytes(4).toString('hex')}`;
    await database.query(`CREATE ROLE ${stranger} LOGIN`);
    await database.query(`CREATE SEQUENCE public.intrusions`);
    await database.query(`GRANT ALL ON SEQUENCE public.intrusions TO PUBLIC`);
    await database.query(`GRANT CREATE ON SCHEMA public TO ${stranger}`);
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
    await database.drop();
    await runDrop();
  });

  const runDrop = async (): Promise<void> => {
    const other = await TestDatabase.create();
    await other.query(`DROP ROLE ${stranger}`);
    await other.drop();
  };

  const start = async (options: { synchronize?: boolean } = {}): Promise<void> => {
    app = await bootWith(database, {
      views: [Numbers],
      stateSchema: 'my "own" tables',
      synchronize: true,
      ...options,
    });
  };

  const intrude = `CREATE FUNCTION public.intrude() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('public.intrusions'); RETURN NEW; END $$`;

  const intrusions = async (): Promise<unknown> => {
    const [row] = await database.query(`SELECT is_called FROM public.intrusions`);
    return row?.is_called;
  };

  const OWNED: [what: string, statements: string[]][] = [
    ['the schema', [`ALTER SCHEMA ${STATE} OWNER TO STRANGER`]],
    ['a table of ours', [`ALTER TABLE ${STATE}.installation OWNER TO STRANGER`]],
    ['the history', [`ALTER TABLE ${STATE}.refresh_history OWNER TO STRANGER`]],
    ['another table', [`CREATE TABLE ${STATE}.x ()`, `ALTER TABLE ${STATE}.x OWNER TO STRANGER`]],
    ['a view', [`CREATE VIEW ${STATE}.x AS SELECT 1`, `ALTER VIEW ${STATE}.x OWNER TO STRANGER`]],
    [
      'a function',
      [
        `CREATE FUNCTION ${STATE}.x() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
        `ALTER FUNCTION ${STATE}.x() OWNER TO STRANGER`,
      ],
    ],
  ];

  it.each(OWNED)('is refused if it owns %s', async (_, statements) => {
    await start();
    await app?.close();
    for (const statement of statements) {
      await database.query(statement.replace('STRANGER', stranger));
    }
    for (const synchronize of [true, false]) {
      const error = await start({ synchronize }).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(ForeignStateSchemaError);
      expect((error as Error).message).toContain(stranger);
    }
  });

  it('runs no trigger of a table that it created before', async () => {
    await database.query(intrude);
    await database.query(`CREATE SCHEMA ${STATE} AUTHORIZATION ${stranger}`);
    await database.query(`CREATE TABLE ${STATE}.installation (version int PRIMARY KEY)`);
    await database.query(`CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON ${STATE}.installation
      FOR EACH ROW EXECUTE FUNCTION public.intrude()`);
    await database.query(`ALTER TABLE ${STATE}.installation OWNER TO ${stranger}`);
    await expect(start()).rejects.toBeInstanceOf(ForeignStateSchemaError);
    expect(await intrusions()).toBe(false);
  });

  describe('is not used without a boot', () => {
    let file: MigrationFile | undefined;

    const dataSource = (): DataSource =>
      new DataSource({ type: 'postgres', url: database.url, entities: [Numbers as never] });

    /** Makes every read or write of the library's tables call a function of the stranger. */
    beforeEach(async () => {
      await start({ synchronize: false });
      file = await app?.get(SchemaService).generateMigration({ name: 'first' });
      await app?.close();
      await start();
      await app?.close();
      app = undefined;
      await database.query(intrude);
      await database.query(`CREATE FUNCTION public.look() RETURNS boolean LANGUAGE sql AS
        $$ SELECT nextval('public.intrusions') > 0 $$`);
      const tables = await database.query<{ name: string }>(
        `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'my "own" tables'`,
      );
      for (const { name } of tables) {
        await database.query(`ALTER TABLE ${STATE}.${name} RENAME TO kept_${name}`);
        await database.query(`CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON ${STATE}.kept_${name}
          FOR EACH ROW EXECUTE FUNCTION public.intrude()`);
        await database.query(
          `CREATE VIEW ${STATE}.${name} AS SELECT * FROM ${STATE}.kept_${name} WHERE public.look()`,
        );
        await database.query(`ALTER TABLE ${STATE}.kept_${name} OWNER TO ${stranger}`);
        await database.query(`ALTER VIEW ${STATE}.${name} OWNER TO ${stranger}`);
      }
      await database.query(`ALTER SCHEMA ${STATE} OWNER TO ${stranger}`);
    });

    const WAYS: Record<string, () => Promise<unknown>> = {
      'the command line': () =>
        Project.open(
          dataSource(),
          { stateSchema: 'my "own" tables' },
          {
            error: () => undefined,
            warn: () => undefined,
            log: () => undefined,
            debug: () => undefined,
          },
        ),
      'alterTable in a migration': async () => {
        const source = await dataSource().initialize();
        try {
          await alterTable(source.createQueryRunner(), 'pg_class', () => Promise.resolve(), {
            stateSchema: 'my "own" tables',
          });
        } finally {
          await source.destroy();
        }
      },
      'a generated migration': () => runMigrations(database, file, (each) => each.runMigrations()),
      'a generated migration that goes back': () =>
        runMigrations(database, file, async (each) => {
          const [migration] = each.migrations;
          await each.query(`CREATE TABLE migrations (id serial, timestamp bigint, name text)`);
          await each.query(`INSERT INTO migrations (timestamp, name) VALUES (1, $1)`, [
            migration?.name,
          ]);
          await each.undoLastMigration();
        }),
    };

    it.each(Object.keys(WAYS))('by %s', async (way) => {
      const error = await WAYS[way]?.().catch((caught: unknown) => caught);
      expect(String(error)).toContain(stranger);
      expect(await intrusions()).toBe(false);
    });
  });

  it('is used if this role is a member of the owner, directly or not', async () => {
    await start();
    await app?.close();
    await database.query(`ALTER SCHEMA ${STATE} OWNER TO ${stranger}`);
    const [me] = await database.query<{ name: string }>(`SELECT current_user::text AS name`);
    await database.query(`CREATE ROLE ${stranger}_group`);
    await database.query(`GRANT ${stranger} TO ${stranger}_group`);
    await database.query(`GRANT ${stranger}_group TO "${me?.name}"`);
    try {
      await start();
      expect(await app?.get(RefreshService).refresh(Numbers)).toMatchObject({
        outcome: 'refreshed',
      });
    } finally {
      await database.query(`DROP ROLE ${stranger}_group`);
    }
  });
});
