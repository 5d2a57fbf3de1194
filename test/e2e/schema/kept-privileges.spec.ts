import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SwapRefusedError, UnmanagedDependentsError } from '../../../lib/index.js';
import {
  MakingAnew,
  QUOTED_PLAIN,
  QUOTED_SUBJECT,
  WAYS,
  type Way,
} from '../../support/making-anew.js';
import { sampleOf } from '../../support/matrix.js';
import { TestDatabase } from '../../support/test-database.js';

/** Grants and revokes on a view; `%s` is the view, `me` its owner, the other names are roles. */
const PRIVILEGES: Record<string, string[]> = {
  'none given or taken': [],
  'nothing for anybody': ['REVOKE ALL ON %s FROM me'],
  'those of an owner by default, as a list': [
    'GRANT SELECT ON %s TO "one"',
    'REVOKE ALL ON %s FROM "one"',
  ],
  'some taken from the owner': ['REVOKE INSERT, TRUNCATE ON %s FROM me'],
  'a list without the owner': [
    'REVOKE ALL ON %s FROM me',
    'GRANT SELECT ON %s TO PUBLIC',
    'GRANT UPDATE, TRIGGER ON %s TO "one" WITH GRANT OPTION',
  ],
  'the option for the owner itself': ['GRANT SELECT ON %s TO me WITH GRANT OPTION'],
  'a chain': [
    'GRANT SELECT, DELETE ON %s TO "one" WITH GRANT OPTION',
    `SET ROLE "one"; GRANT SELECT ON %s TO "two" WITH GRANT OPTION; GRANT DELETE ON %s TO me; RESET ROLE`,
    `SET ROLE "two"; GRANT SELECT ON %s TO PUBLIC; GRANT SELECT ON %s TO "three"; RESET ROLE`,
    'GRANT SELECT ON %s TO "three"',
  ],
  'on a column alone': ['GRANT SELECT (id), UPDATE (note) ON %s TO "one", PUBLIC'],
  'nothing, and a chain on columns': [
    'REVOKE ALL ON %s FROM me',
    'GRANT SELECT (id) ON %s TO "one" WITH GRANT OPTION',
    'GRANT UPDATE ON %s TO "two" WITH GRANT OPTION',
    `SET ROLE "one"; GRANT SELECT (id) ON %s TO "two" WITH GRANT OPTION; RESET ROLE`,
    `SET ROLE "two"; GRANT SELECT (id), UPDATE (note) ON %s TO "three"; RESET ROLE`,
  ],
};

const ALTER = 'ALTER DEFAULT PRIVILEGES';

/** Default privileges of new tables. */
const DEFAULTS: Record<string, string[]> = {
  'none by default': [],
  'some by default': [`${ALTER} GRANT SELECT ON TABLES TO "one" WITH GRANT OPTION`],
  'less by default': [`${ALTER} REVOKE INSERT, SELECT ON TABLES FROM me`],
  'nothing by default': [`${ALTER} REVOKE ALL ON TABLES FROM me`],
  'some by default in the schema': [
    `${ALTER} IN SCHEMA "Far away" GRANT SELECT ON TABLES TO PUBLIC, "two"`,
    `${ALTER} IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC`,
  ],
  'some by default here and there': [
    `${ALTER} GRANT ALL ON TABLES TO me WITH GRANT OPTION`,
    `${ALTER} GRANT UPDATE ON TABLES TO "three"`,
    `${ALTER} IN SCHEMA "Far away" GRANT SELECT ON TABLES TO "three"`,
  ],
};

/** Every way with every kind of privileges; the default privileges rotate. */
const CASES = WAYS.flatMap((way, offset) =>
  Object.keys(PRIVILEGES).map((privileges, at) => {
    const names = Object.keys(DEFAULTS);
    return [way, privileges, names[(at + offset) % names.length] ?? ''] as const;
  }),
);

describe('the privileges of a view', () => {
  let database: TestDatabase;
  let anew: MakingAnew | undefined;
  let roles: string[];

  beforeAll(async () => {
    database = await TestDatabase.create();
    roles = ['one', 'two', 'three', 'app'].map((role) => `"${role} of ${database.name}"`);
    for (const role of roles) {
      await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`);
    }
  });

  beforeEach(async () => {
    await database.query(`DROP OWNED BY ${roles.join(', ')} CASCADE`);
    await database.query(
      'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO CURRENT_USER; ALTER DEFAULT PRIVILEGES REVOKE GRANT OPTION FOR ALL ON TABLES FROM CURRENT_USER',
    );
    await MakingAnew.prepare(database);
    await database.query(`GRANT USAGE ON SCHEMA public, "Far away" TO PUBLIC`);
  });

  afterEach(async () => {
    await anew?.end();
    anew = undefined;
  });

  afterAll(async () => {
    await database.query(`DROP OWNED BY ${roles.join(', ')} CASCADE`);
    await database.query(`DROP ROLE ${roles.join(', ')}`);
    await database.drop();
  });

  async function work(statements: string[] = [], owner = 'CURRENT_USER'): Promise<void> {
    const views = (await has(QUOTED_PLAIN)) ? [QUOTED_SUBJECT, QUOTED_PLAIN] : [QUOTED_SUBJECT];
    for (const view of views) {
      for (const statement of statements) {
        await database.query(
          statement
            .replaceAll('%s', view)
            .replaceAll(/\bme\b/g, owner)
            .replaceAll(/"(one|two|three)"/g, (_, role) => `"${role} of ${database.name}"`),
        );
      }
    }
  }

  async function has(quotedName: string): Promise<boolean> {
    const rows = await database.query(`SELECT WHERE to_regclass('${quotedName}') IS NOT NULL`);
    return rows.length > 0;
  }

  async function defaults(): Promise<unknown[]> {
    return database.query(
      `SELECT defaclrole::regrole::text AS role, defaclnamespace::regnamespace::text AS schema, defaclobjtype,
              (SELECT array_agg(a::text ORDER BY 1) FROM unnest(defaclacl) a) AS acl
       FROM pg_default_acl ORDER BY 1, 2, 3`,
    );
  }

  async function isKept(making: MakingAnew, way: Way): Promise<void> {
    const [found, oids, byDefault] = [await making.found(), await making.oids(), await defaults()];
    await making.by(way);
    expect(await making.found()).toEqual(found);
    expect(await making.oids()).not.toEqual(oids);
    expect(await defaults()).toEqual(byDefault);
  }

  it.each(sampleOf(CASES))(
    'stay the same through %s: %s; %s',
    async (way, privileges, byDefault) => {
      anew = new MakingAnew(database);
      await anew.boot();
      if (way !== 'a swap') {
        await anew.putPlainViewAbove();
      }
      await work(PRIVILEGES[privileges]);
      await work(DEFAULTS[byDefault]);
      await isKept(anew, way);
    },
  );

  describe('of an application that is not a superuser', () => {
    let app: string;

    beforeEach(async () => {
      app = `app of ${database.name}`;
      await database.query(
        `ALTER SCHEMA public OWNER TO "${app}"; ALTER SCHEMA "Far away" OWNER TO "${app}";
         ALTER TABLE items OWNER TO "${app}"; GRANT CREATE ON DATABASE "${database.name}" TO "${app}"`,
      );
      const url = new URL(database.url);
      url.username = encodeURIComponent(app);
      url.password = 'secret';
      anew = new MakingAnew(database, {}, { url: url.href });
      await anew.boot();
    });

    it.each(WAYS)('stay the same through %s', async (way) => {
      await database.query(
        `SET ROLE "${app}"; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; RESET ROLE`,
      );
      await isKept(anew as MakingAnew, way);
    });

    it.each(WAYS)('of a role that it may act as stay too through %s', async (way) => {
      await database.query(
        `GRANT "one of ${database.name}", "two of ${database.name}" TO "${app}"`,
      );
      await work(PRIVILEGES['a chain'], `"${app}"`);
      await isKept(anew as MakingAnew, way);
      await database.query(
        `REVOKE "one of ${database.name}", "two of ${database.name}" FROM "${app}"`,
      );
    });

    it.each(WAYS)('of a role that it may not act as are refused by name: %s', async (way) => {
      await work(PRIVILEGES['a chain'], `"${app}"`);
      const making = anew as MakingAnew;
      const [found, oids] = [await making.found(), await making.oids()];
      const failure: unknown = await making.by(way).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(
        way === 'a swap' ? SwapRefusedError : UnmanagedDependentsError,
      );
      expect((failure as Error).message).toContain(
        `privilege SELECT of role "two of ${database.name}", granted by role "one of ${database.name}"`,
      );
      expect([await making.found(), await making.oids()]).toEqual([found, oids]);
    });
  });
});
