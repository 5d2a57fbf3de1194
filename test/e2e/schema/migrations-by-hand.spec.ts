import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import type { SchemaService } from '../../../lib/index.js';
import { catalog } from '../../support/catalog.js';
import { sampleOf } from '../../support/matrix.js';
import { loadMigration } from '../../support/migration-runner.js';
import { Releases } from '../../support/releases.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const VIEW = '"Far away"."The ""View"""';
const ALTER = `ALTER MATERIALIZED VIEW ${VIEW}`;

/** How the migration changes the text column `day`. */
const CHANGES = {
  'the column goes': ['id', 'amount'],
  'the column becomes a number': ['id', 'length(day) AS day', 'amount'],
};
type Change = keyof typeof CHANGES;

/** What happens to something made by hand. If it stops the migration: the pattern by which the error names it. */
type Fate = 'is kept' | 'is left out' | RegExp;

interface Made {
  make: string;
  since?: number;
  /** Matches the catalog if it exists. */
  shown?: RegExp;
  fates: Record<Change, Fate>;
}

const stopsBoth = (named: RegExp): Made['fates'] => ({
  'the column goes': named,
  'the column becomes a number': named,
});
const GOES_WITH_IT: Made['fates'] = {
  'the column goes': 'is left out',
  'the column becomes a number': 'is kept',
};
const MUST_FIT = (named: RegExp): Made['fates'] => ({
  'the column goes': named,
  'the column becomes a number': 'is kept',
});

const MADE: Record<string, Made> = {
  'an index': {
    make: `CREATE INDEX "The late" ON ${VIEW} (day)`,
    shown: /The late/,
    fates: MUST_FIT(/new: CREATE INDEX "The late" ON .*day/),
  },
  'a unique index of some columns': {
    make: `CREATE UNIQUE INDEX late ON ${VIEW} (id, day DESC)`,
    shown: /late/,
    fates: MUST_FIT(/new: CREATE UNIQUE INDEX late/),
  },
  'an index that includes it': {
    make: `CREATE INDEX late ON ${VIEW} (id) INCLUDE (day)`,
    shown: /late/,
    fates: MUST_FIT(/new: CREATE INDEX late/),
  },
  'an index of an expression': {
    make: `CREATE INDEX late ON ${VIEW} ((upper(day) || 'x'))`,
    fates: stopsBoth(/new: CREATE INDEX late/),
  },
  'an index with a condition': {
    make: `CREATE INDEX late ON ${VIEW} (id) WHERE day > 'm'`,
    fates: stopsBoth(/new: CREATE INDEX late .*WHERE/),
  },
  'an index with an operator class': {
    make: `CREATE INDEX late ON ${VIEW} (day text_pattern_ops)`,
    fates: stopsBoth(/new: CREATE INDEX late .*text_pattern_ops/),
  },
  'an index of other columns': {
    make: `CREATE INDEX late ON ${VIEW} (amount) WHERE id > 0`,
    shown: /late/,
    fates: { 'the column goes': 'is kept', 'the column becomes a number': 'is kept' },
  },
  'the order of an index': {
    make: `CREATE INDEX late ON ${VIEW} (day COLLATE "C"); ${ALTER} CLUSTER ON late`,
    fates: stopsBoth(/new: CREATE INDEX late/),
  },
  statistics: {
    make: `CREATE STATISTICS "Far away"."Late ""ones""" (ndistinct) ON id, day FROM ${VIEW}; COMMENT ON STATISTICS "Far away"."Late ""ones""" IS 'late'`,
    shown: /Late \\"\\"ones/,
    fates: MUST_FIT(/new: CREATE STATISTICS "Far away"\."Late ""ones"""/),
  },
  'statistics of an expression': {
    make: `CREATE STATISTICS late ON (upper(day)), id FROM ${VIEW}`,
    since: 14,
    fates: stopsBoth(/new: CREATE STATISTICS public\.late/),
  },
  'a comment': {
    make: `COMMENT ON COLUMN ${VIEW}.day IS 'said late'`,
    shown: /said late/,
    fates: GOES_WITH_IT,
  },
  'a grant': {
    make: `GRANT SELECT (day), UPDATE (day) ON ${VIEW} TO by_hand_reader WITH GRANT OPTION`,
    shown: /by_hand_reader=r\*/,
    fates: GOES_WITH_IT,
  },
  'a statistics target': {
    make: `${ALTER} ALTER day SET STATISTICS 77`,
    shown: /"statistics":77/,
    fates: GOES_WITH_IT,
  },
  options: {
    make: `${ALTER} ALTER day SET (n_distinct = 5)`,
    shown: /n_distinct=5/,
    fates: GOES_WITH_IT,
  },
  'another access method': {
    make: `${ALTER} SET ACCESS METHOD heap2`,
    since: 15,
    shown: /"method":"heap2"/,
    fates: { 'the column goes': 'is kept', 'the column becomes a number': 'is kept' },
  },
  'a way of storage': {
    make: `${ALTER} ALTER day SET STORAGE EXTERNAL`,
    fates: {
      'the column goes': 'is left out',
      'the column becomes a number': /SET STORAGE EXTERNAL/,
    },
  },
  'a compression': {
    make: `${ALTER} ALTER day SET COMPRESSION pglz`,
    since: 14,
    fates: {
      'the column goes': 'is left out',
      'the column becomes a number': /SET COMPRESSION pglz/,
    },
  },
};

/** Objects that depend on a view without being part of it. */
const DEPENDENTS: Record<string, [make: string, named: RegExp, since?: number]> = {
  'a plain view': [`CREATE VIEW late AS SELECT day FROM ${VIEW}`, /view public\.late depends on/],
  'a materialized view': [
    `CREATE MATERIALIZED VIEW "Far away".late AS SELECT day FROM ${VIEW}`,
    /materialized view "Far away"\.late depends on/,
  ],
  'a rule of a table': [
    `CREATE RULE late AS ON INSERT TO items WHERE new.id > (SELECT max(length(day)) FROM ${VIEW}) DO INSTEAD NOTHING`,
    /rule late on table public\.items depends on/,
  ],
  'a policy': [
    `CREATE POLICY late ON items USING (day IN (SELECT day FROM ${VIEW}))`,
    /policy late on table public\.items depends on/,
  ],
  'a function that returns its rows': [
    `CREATE FUNCTION late() RETURNS SETOF ${VIEW} LANGUAGE plpgsql AS 'BEGIN END'`,
    /function public\.late\(\) depends on/,
  ],
  'a function in SQL': [
    `CREATE FUNCTION late() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(day) FROM ${VIEW}; END`,
    /function public\.late\(\) depends on/,
    14,
  ],
  'a table of its rows': [`CREATE TABLE late (rows ${VIEW}[])`, /table public\.late depends on/],
  'a trigger': [
    `CREATE TRIGGER late BEFORE UPDATE ON items FOR EACH ROW WHEN ('${VIEW}'::regclass IS NULL) EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
    /trigger late on table public\.items depends on/,
  ],
};

const view = (columns: string[]): TestView => ({
  schema: 'Far away',
  name: 'The "View"',
  expression: `SELECT ${columns.join(', ')} FROM items`,
  columns: ['id'],
  key: ['id'],
});
const OLD = view(['id', 'day', 'amount']);

/** The direction of the migration, and whether it rebuilds in place. */
const WAYS = ['up', 'up in place', 'down', 'down in place'] as const;
type Way = (typeof WAYS)[number];

describe('what is made by hand once a migration is written', () => {
  let database: TestDatabase;
  let releases: Releases;
  let version: number;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`
      CREATE ROLE by_hand_reader;
      CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler`);
    const [row] = await database.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS version`,
    );
    version = Number(row?.version);
  });

  beforeEach(async () => {
    releases = new Releases(database);
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Far away", public CASCADE;
      CREATE SCHEMA public;
      CREATE TABLE items (id int, day text, amount int);
      INSERT INTO items VALUES (1, 'mon', 1), (2, 'tues', 2), (3, 'tues', 3)`);
  });

  afterEach(async () => {
    await releases.end();
  });

  afterAll(async () => {
    await database.query('DROP OWNED BY by_hand_reader; DROP ROLE by_hand_reader');
    await database.drop();
  });

  async function run(migration: MigrationInterface, way: 'up' | 'down'): Promise<void> {
    await database.query('BEGIN');
    try {
      await migration[way]({
        query: async (text: string, values?: unknown[]) => database.query(text, values),
      } as unknown as QueryRunner);
      await database.query('COMMIT');
    } catch (error) {
      await database.query('ROLLBACK');
      throw error;
    }
  }

  async function write(to: TestView[], way: Way): Promise<MigrationInterface | undefined> {
    const schema: SchemaService = await releases.start(to, {
      synchronize: 'verify',
      prune: true,
      application: 'tests',
      rebuildStrategy: way.endsWith('in place') ? 'drop-and-create' : 'side-by-side',
    });
    const file = await schema.generateMigration({ name: 'any' });
    return file && new (await loadMigration(file))();
  }

  /** Prepares a migration between two releases and returns a function that runs it. */
  async function between(way: Way, from: TestView[], to: TestView[]): Promise<() => Promise<void>> {
    const isBack = way.startsWith('down');
    await releases.start(isBack ? to : from, { application: 'tests' });
    const migration = await write(isBack ? from : to, way);
    if (migration === undefined) {
      throw new Error('There is nothing to migrate');
    }
    if (isBack) {
      await run(migration, 'up');
    }
    return () => run(migration, isBack ? 'down' : 'up');
  }

  async function expectStopped(migrate: () => Promise<void>, named: RegExp): Promise<void> {
    const before = await catalog(database);
    const failure: unknown = await migrate().catch((error: unknown) => error);
    expect(String(failure)).toMatch(named);
    expect(String(failure)).toContain('Nothing has been changed. Write it again, or undo this');
    expect(String(failure)).toContain('"Far away"."The ""View"""');
    expect(failure).not.toHaveProperty('code');
    expect(await catalog(database)).toEqual(before);
  }

  const shown = async (): Promise<string> => JSON.stringify(await catalog(database));

  const casesOf = (ways: readonly Way[]): [string, Way, Change, Made][] =>
    Object.entries(MADE).flatMap(([what, made]) =>
      (Object.keys(CHANGES) as Change[]).flatMap((change) =>
        ways.map((way): [string, Way, Change, Made] => [
          `${what}, and ${change}`,
          way,
          change,
          made,
        ]),
      ),
    );

  it.each(sampleOf(casesOf(WAYS)))(
    'is kept, or stops it before anything is changed: %s, %s',
    async (_, way, change, { make, fates, shown: pattern, since = 0 }) => {
      if (version < since) {
        return;
      }
      const migrate = await between(way, [OLD], [view(CHANGES[change])]);
      await database.query(make);
      const fate = fates[change];
      if (fate instanceof RegExp) {
        await expectStopped(migrate, fate);
        return;
      }
      await migrate();
      if (pattern !== undefined) {
        expect(pattern.test(await shown()) ? 'is kept' : 'is left out').toBe(fate);
      }
    },
  );

  it.each(sampleOf(casesOf(['up', 'up in place'])))(
    'is kept or left out by a migration that is written with it, and is there again after its down: %s, %s',
    async (_, way, change, { make, since = 0 }) => {
      if (version < since) {
        return;
      }
      await releases.start([OLD], { application: 'tests' });
      await database.query(make);
      const before = await catalog(database);
      const migration = await write([view(CHANGES[change])], way);
      await run(migration as MigrationInterface, 'up');
      await run(migration as MigrationInterface, 'down');
      expect(await catalog(database)).toEqual(before);
      // A boot makes the same change without a migration.
      const schema = await releases.start([view(CHANGES[change])], { application: 'tests' });
      expect(await schema.diff()).toEqual([]);
    },
  );

  const changed = view(['id', 'day', 'amount + 1 AS amount']);
  const plans = { 'a changed view': [changed], 'a view that is there on one side only': [] };

  it.each(
    sampleOf(
      Object.entries(DEPENDENTS).flatMap(([what, dependent]) =>
        Object.entries(plans).flatMap(([plan, to]) =>
          WAYS.map((way) => [what, plan, way, dependent, to] as const),
        ),
      ),
    ),
  )(
    'stops it, by name, where it depends on the view: %s on %s, %s',
    async (_, __, way, [make, named, since = 0], to) => {
      if (version < since) {
        return;
      }
      const migrate = await between(way, [OLD], to);
      await database.query(make);
      await expectStopped(migrate, named);
    },
  );

  it('goes on where it depends on a view whose name a new one takes', async () => {
    const renamed = { ...OLD, name: 'other', renamedFrom: 'Far away.The "View"' };
    await releases.start([OLD], { application: 'tests' });
    await database.query(`CREATE VIEW early AS SELECT day FROM ${VIEW}`);
    const migration = await write([renamed, changed], 'up in place');
    const before = await catalog(database);
    await run(migration as MigrationInterface, 'up');
    expect(await shown()).toMatch(/FROM ..Far away...other;/);
    await run(migration as MigrationInterface, 'down');
    expect(await catalog(database)).toEqual(before);
  });

  it.each(WAYS)('stops it where the rows of the changed view refuse it, %s', async (way) => {
    const migrate = await between(way, [OLD], [view(['id', 'day', '7 AS amount'])]);
    await database.query(`CREATE UNIQUE INDEX late ON ${VIEW} (amount)`);
    await expectStopped(
      migrate,
      /new: CREATE UNIQUE INDEX late .*fails on the changed view: 23505/,
    );
  });
});
