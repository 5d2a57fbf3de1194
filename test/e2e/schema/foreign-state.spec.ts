import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { randomBytes } from 'node:crypto';
import { ForeignStateSchemaError, RefreshService } from '../../../lib/index.js';
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

  it.each(OWNED)('is refused where it owns %s', async (_, statements) => {
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

  it('runs no trigger of a table that it made before', async () => {
    await database.query(intrude);
    await database.query(`CREATE SCHEMA ${STATE} AUTHORIZATION ${stranger}`);
    await database.query(`CREATE TABLE ${STATE}.installation (version int PRIMARY KEY)`);
    await database.query(`CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON ${STATE}.installation
      FOR EACH ROW EXECUTE FUNCTION public.intrude()`);
    await database.query(`ALTER TABLE ${STATE}.installation OWNER TO ${stranger}`);
    await expect(start()).rejects.toBeInstanceOf(ForeignStateSchemaError);
    expect(await intrusions()).toBe(false);
  });

  it('is used where this role is a member of the owner, at whatever distance', async () => {
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
