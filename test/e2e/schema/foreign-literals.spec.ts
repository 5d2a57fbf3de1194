import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MaterializedViewError, RefreshService, SchemaService } from '../../../lib/index.js';
import { runMigrations } from '../../support/migration-runner.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const VIEW = '"Far away"."Daily ""Total"""';
const NAME = 'Far away.Daily "Total"';
const PLAIN = 'SELECT id, note FROM public.items';
const CHANGED = `${PLAIN} WHERE id > 1`;

const daily = (expression: string): TestView => ({
  name: 'Daily "Total"',
  schema: 'Far away',
  expression,
  columns: ['id', 'note'],
  key: ['id'],
});

/** Literals that make PostgreSQL check the domain `stash.checked`, which calls a function of the view's owner. */
const LITERALS: Record<string, { literal: string; since?: number }> = {
  'an array of a domain': { literal: `'{x}'::stash.checked[]` },
  'a row with a domain in it': { literal: `'(x)'::stash.record` },
  'an array of such rows': { literal: `'{(x)}'::stash.record[]` },
  'a domain over an array of the domain': { literal: `'{x}'::stash.list` },
  'a range over the domain': { literal: `'[x,y]'::stash.span` },
  'several ranges over the domain': { literal: `'{[x,y]}'::stash.spans`, since: 14 },
};

type Part = 'definition' | 'index' | 'predicate' | 'statistics' | 'default';

/** Where the owner puts the literal by hand: in the view, on it or in a view above it. */
const PARTS: Record<Part, (literal: string) => string> = {
  definition: (literal) =>
    `DROP MATERIALIZED VIEW ${VIEW};
     CREATE MATERIALIZED VIEW ${VIEW} AS ${PLAIN} WHERE ${literal} IS NOT NULL;
     CREATE UNIQUE INDEX "Daily ""Total""_key" ON ${VIEW} (id)`,
  index: (literal) => `CREATE INDEX by_hand ON ${VIEW} ((${literal} IS NULL))`,
  predicate: (literal) => `CREATE INDEX by_hand ON ${VIEW} (id) WHERE ${literal} IS NOT NULL`,
  statistics: (literal) =>
    `CREATE STATISTICS stash.by_hand ON (${literal} IS NULL), id FROM ${VIEW}`,
  default: (literal) =>
    `CREATE VIEW public.above AS SELECT id, note FROM ${VIEW};
     ALTER VIEW public.above ALTER note SET DEFAULT (${literal})::text`,
};

interface Case {
  part: Part;
  literal: string;
  since?: number;
}

const CASES: [string, Case][] = [
  ...Object.entries(LITERALS).map(([what, given]): [string, Case] => [
    `${what} in the definition`,
    { part: 'definition', ...given },
  ]),
  ...(Object.keys(PARTS) as Part[])
    .slice(1)
    .map((part): [string, Case] => [
      `an array of a domain in the ${part}`,
      { part, literal: `'{x}'::stash.checked[]`, since: part === 'statistics' ? 14 : undefined },
    ]),
];

type Way = (schema: SchemaService, app: Releases) => Promise<unknown>;

describe("a literal that PostgreSQL parses by calling a function of the view's owner", () => {
  let database: TestDatabase;
  let releases: Releases;
  let owner: string;
  let major: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    owner = `owner_${database.name}`;
    const [server] = await database.query<{ major: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS major`,
    );
    major = server?.major ?? 0;
    await database.query(`CREATE ROLE "${owner}" LOGIN`);
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Far away", stash, public CASCADE;
      CREATE SCHEMA public;
      CREATE SCHEMA stash;
      CREATE TABLE items AS SELECT n AS id, 'note ' || n AS note FROM generate_series(1, 3) AS n;
      CREATE SEQUENCE stash.as_another;
      GRANT ALL ON SEQUENCE stash.as_another TO PUBLIC;
      GRANT SELECT ON items TO PUBLIC;
      GRANT ALL ON SCHEMA public, stash TO "${owner}"`);
    await releases.start([daily(PLAIN)]);
    await database.query(`
      GRANT ALL ON SCHEMA "Far away" TO "${owner}";
      ALTER MATERIALIZED VIEW ${VIEW} OWNER TO "${owner}"`);
    await asOwner(`
      CREATE FUNCTION stash.check(what text) RETURNS boolean LANGUAGE plpgsql AS $$
      BEGIN
        IF current_user <> '${owner}' THEN
          PERFORM nextval('stash.as_another');
        END IF;
        RETURN true;
      END $$;
      CREATE DOMAIN stash.checked AS text CHECK (stash.check(VALUE));
      CREATE TYPE stash.record AS (value stash.checked);
      CREATE DOMAIN stash.list AS stash.checked[];
      CREATE TYPE stash.span AS RANGE (subtype = stash.checked${major >= 14 ? ', multirange_type_name = stash.spans' : ''})`);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.query(`DROP OWNED BY "${owner}" CASCADE; DROP ROLE "${owner}"`);
    await database.drop();
  });

  async function asOwner(script: string): Promise<void> {
    const session = await database.session();
    await session.query(`SET SESSION AUTHORIZATION "${owner}"`);
    await session.query(script);
    await session.end();
  }

  const rebuild = { unmanagedDependents: 'rebuild' } as const;

  const migrate: Way = async (schema) => {
    const file = await schema.generateMigration({ name: 'Change', ...rebuild });
    await runMigrations(database, file, async (dataSource) => {
      await dataSource.runMigrations();
      await dataSource.undoLastMigration();
    });
  };

  const WAYS: Record<string, Way> = {
    'a diff': (schema) => schema.diff(),
    'a search for drift': (_, app) => app.get(RefreshService).drift(NAME),
    'a refresh by swap': (_, app) => app.get(RefreshService).refresh(NAME, { mode: 'swap' }),
    alterTable: (schema) =>
      schema.alterTable('items', (runner) => runner.query('ALTER TABLE items ADD more int'), {
        unmanagedDependents: 'rebuild',
      }),
    'a migration': migrate,
    'a boot': (_, app) => app.start([daily(CHANGED)], { ...rebuild, onDrift: 'apply' }),
  };

  it.each(CASES)('is not parsed as another role: %s', async (_, { part, literal, since = 0 }) => {
    if (major < since) {
      return;
    }
    await asOwner(PARTS[part](literal));
    for (const [way, work] of Object.entries(WAYS)) {
      const schema = await releases.start([daily(CHANGED)], { ...rebuild, synchronize: false });
      const failure = await work(schema, releases).catch((error: unknown) => error);
      const [found] = await database.query('SELECT is_called FROM stash.as_another');
      expect({ way, ...found }).toEqual({ way, is_called: false });
      if (failure instanceof Error) {
        expect(failure).toBeInstanceOf(MaterializedViewError);
        expect({ way, message: failure.message }).toEqual({
          way,
          message: expect.stringMatching(/literal of type stash|depends on it/),
        });
      }
    }
  });

  it('is parsed if the code declares it, or this role owns the view', async () => {
    const declared = daily(`${PLAIN} WHERE '{x}'::stash.checked[] IS NOT NULL`);
    await database.query(`GRANT USAGE ON SCHEMA stash TO PUBLIC; DROP MATERIALIZED VIEW ${VIEW}`);
    await releases.start([declared]);
    const schema = await releases.start([declared]);
    await schema.alterTable('items', (runner) => runner.query('ALTER TABLE items ADD more int'));
    await schema.verify();
  });
});
