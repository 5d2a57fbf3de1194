import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { RefreshService } from '../../../lib/index.js';
import type { QualifiedName } from '../../../lib/postgres/identifier.js';
import type { SqlStatement } from '../../../lib/postgres/sql-statement.js';
import { PendingMemory } from '../../../lib/tracking/pending-memory.js';
import { managed } from '../../support/managed.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { type TestView, viewClass } from '../../support/view-class.js';

const STATE = 'materialized_views';
const HIDDEN = { schema: 'Odd schema', name: `looked "at"` };
const COUNT = 5;

const view = (index: number): TestView => ({
  name: `view_${index}`,
  schema: 'public',
  expression: `SELECT count(*)::int AS id FROM public.t_${index}`,
  refresh: { on: 'sources' },
});

const VIEWS: TestView[] = [
  ...Array.from({ length: COUNT }, (_, index) => view(index)),
  {
    ...HIDDEN,
    expression: 'SELECT count(*)::int AS id FROM public.plain',
    refresh: { on: 'sources' },
  },
  {
    name: 'named',
    schema: 'public',
    expression: 'SELECT count(*)::int AS id FROM public.t_0',
    refresh: { on: ['public.t_1', 'public.only_named'] },
  },
  {
    name: 'calling',
    schema: 'public',
    expression: 'SELECT public.twice(v) AS id FROM public.of_calling',
    refresh: { on: 'sources' },
  },
  {
    name: 'composed',
    schema: 'public',
    expression: 'SELECT count(*)::int AS id FROM public.of_rows',
    refresh: { on: 'sources' },
  },
];

const ALL = VIEWS.map(({ schema, name }) => `${schema}.${name}`).sort();

/** A change, and the views that the next poll asks about. */
const CHANGES: [string, string, string[]][] = [
  ['a write', 'INSERT INTO t_2 VALUES (1)', ['public.view_2']],
  ['a write to a table of two', 'INSERT INTO t_1 VALUES (1)', ['public.named', 'public.view_1']],
  ['a TRUNCATE', 'TRUNCATE t_3', ['public.view_3']],
  ['a trigger that is off', 'ALTER TABLE t_2 DISABLE TRIGGER ALL', ['public.view_2']],
  ['a trigger that is gone', `DROP TRIGGER ${STATE}_capture_insert ON t_2`, ['public.view_2']],
  ['a column that has another name', 'ALTER TABLE t_4 RENAME COLUMN v TO w', ['public.view_4']],
  ['a column with another default', 'ALTER TABLE t_4 ALTER v SET DEFAULT 1', ['public.view_4']],
  ['a child', 'CREATE TABLE child () INHERITS (t_2)', ['public.view_2']],
  ['a second child', 'CREATE TABLE child () INHERITS (t_3)', ['public.view_3']],
  [
    'a column of a table whose rows are in a column of arrays',
    'ALTER TABLE unread ADD COLUMN w int',
    ['public.composed'],
  ],
  [
    'a function that does something else',
    'CREATE OR REPLACE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT 3 * $1 $$',
    ['public.calling', 'public.composed'],
  ],
  ['a refresh by hand', 'REFRESH MATERIALIZED VIEW public.view_3', ['public.view_3']],
  [
    'a view that has another name',
    'ALTER MATERIALIZED VIEW public.view_3 RENAME TO other',
    ['public.view_3'],
  ],
  [
    'another plain view below',
    'CREATE OR REPLACE VIEW plain AS SELECT id, v FROM hidden WHERE id > 1',
    ['Odd schema.looked "at"'],
  ],
  ['a table that is gone and that a view names in `on`', 'DROP TABLE only_named', ['public.named']],
  [
    'a table in the place of another',
    'ALTER TABLE only_named RENAME TO gone; CREATE TABLE only_named (id int)',
    ['public.named'],
  ],
  [
    'another schema of the name',
    `ALTER SCHEMA "Odd schema" RENAME TO moved; CREATE SCHEMA "Odd schema"`,
    ALL,
  ],
  [
    'a state that is another',
    `UPDATE ${STATE}.view_state SET last_tick = now() WHERE view_name = 'view_4'`,
    ['public.view_4'],
  ],
  ['a log that was emptied', `TRUNCATE ${STATE}.change_log`, ALL],
  ['what is of no concern', 'CREATE TABLE other (id int); DROP TABLE other; ANALYZE', []],
  ['a write to what no view reads', 'INSERT INTO unread VALUES (1)', []],
];

describe('a look at what views have not seen', () => {
  let database: TestDatabase;
  let app: TestingModule | undefined;
  let memory: PendingMemory;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    const tables = Array.from({ length: COUNT }, (_, index) => `t_${index}`);
    await database.query(
      `DROP SCHEMA IF EXISTS ${STATE}, "Odd schema", moved, public CASCADE; CREATE SCHEMA public;
       ${[...tables, 'hidden', 'only_named', 'of_calling', 'unread'].map((name) => `CREATE TABLE ${name} (id int, v int)`).join(';')};
       CREATE TABLE of_rows (id int, rows unread[]);
       CREATE TABLE first_child () INHERITS (t_3);
       CREATE FUNCTION twice(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT 2 * $1 $$;
       CREATE VIEW plain AS SELECT id, v FROM hidden`,
    );
    app = await bootWith(database, { views: VIEWS.map(viewClass), scheduling: false });
    const refreshes = app.get(RefreshService);
    for (const { schema, name } of VIEWS) {
      await refreshes.refresh(`${schema}.${name}`);
    }
    memory = new PendingMemory(STATE, managed(app).views.all());
  });

  afterEach(async () => {
    await app?.close();
    app = undefined;
  });

  afterAll(() => database.drop());

  /** Polls once. Returns the views that it asked about, and those with pending changes. */
  async function look(): Promise<{ asked: string[]; pending: string[] }> {
    const asked: string[] = [];
    const { views } = await managed(app as TestingModule).database.bookkeeping((session) =>
      memory.look({
        query: (statement: SqlStatement) => {
          if (statement.values?.length === 2) {
            const [schemas, names] = statement.values as [string[], string[]];
            asked.push(...names.map((name, index) => `${schemas[index]}.${name}`));
          }
          return session.query(statement);
        },
      }),
    );
    const name = ({ schema, name: own }: QualifiedName): string => `${schema}.${own}`;
    return {
      asked: asked.sort(),
      pending: views
        .filter(({ hasNothingNew }) => !hasNothingNew)
        .map(({ definition }) => name(definition.name))
        .sort(),
    };
  }

  /** Expects that two polls ask about all views, and a third about none. */
  async function untilQuiet(): Promise<void> {
    expect((await look()).asked).toEqual(ALL);
    expect((await look()).asked).toEqual(ALL);
    expect(await look()).toEqual({ asked: [], pending: [] });
  }

  it.each(CHANGES)('asks after %s about the views that it concerns', async (_, change, views) => {
    await untilQuiet();
    await database.query(change);
    expect((await look()).asked).toEqual(views);
  });

  it('asks about what a transaction wrote that began before a look and ended after it', async () => {
    await untilQuiet();
    const session = await database.session();
    await session.query('BEGIN; INSERT INTO t_0 VALUES (1)');
    expect(await look()).toEqual({ asked: [], pending: [] });
    await database.query('INSERT INTO t_4 VALUES (1)');
    expect(await look()).toEqual({ asked: ['public.view_4'], pending: ['public.view_4'] });
    await session.query('COMMIT');
    await session.end();
    expect(await look()).toEqual({
      asked: ['public.view_0'],
      pending: ['public.view_0', 'public.view_4'],
    });
    expect((await look()).asked).toEqual([]);
  });

  it('asks about what happened between its two statements at the next look', async () => {
    await untilQuiet();
    await database.query('INSERT INTO t_4 VALUES (1)');
    const late = managed(app as TestingModule).database.bookkeeping((session) =>
      memory.look({
        query: async (statement: SqlStatement) => {
          if (statement.values?.length === 2) {
            await database.query('ALTER TABLE t_4 DISABLE TRIGGER ALL; INSERT INTO t_0 VALUES (1)');
          }
          return session.query(statement);
        },
      }),
    );
    await late;
    expect((await look()).asked).toEqual(['public.view_0', 'public.view_4']);
  });

  it('asks every time about a view with a write ahead of the clock', async () => {
    await untilQuiet();
    await database.query(
      `INSERT INTO t_2 VALUES (1);
       UPDATE ${STATE}.change_log SET changed_at = clock_timestamp() + interval '1 hour' WHERE source = 't_2'::regclass`,
    );
    expect((await look()).asked).toEqual(['public.view_2']);
    expect((await look()).asked).toEqual(['public.view_2']);
  });

  it('tells the time of each look, by which writes become due, of what it remembers too', async () => {
    await untilQuiet();
    await database.query('INSERT INTO t_2 VALUES (1)');
    const waits: number[] = [];
    for (let round = 0; round < 3; round++) {
      const { views } = await managed(app as TestingModule).database.bookkeeping((session) =>
        memory.look(session),
      );
      waits.push(...views.flatMap(({ now, since }) => (since === null ? [] : [now - since])));
    }
    expect(waits).toHaveLength(3);
    expect([...new Set(waits)].sort((a, b) => a - b)).toEqual(waits);
  });

  it('leaves out a view that is paused, and asks about what it missed when it is resumed', async () => {
    await untilQuiet();
    const refreshes = (app as TestingModule).get(RefreshService);
    await refreshes.pause('public.view_2');
    expect(await look()).toEqual({ asked: [], pending: [] });
    await database.query('INSERT INTO t_2 VALUES (1)');
    expect(await look()).toEqual({ asked: [], pending: [] });
    await refreshes.resume('public.view_2');
    expect(await look()).toEqual({ asked: ['public.view_2'], pending: ['public.view_2'] });
  });

  it('remembers nothing of a look that failed', async () => {
    await untilQuiet();
    await database.query('INSERT INTO t_2 VALUES (1)');
    const failing = managed(app as TestingModule).database.bookkeeping((session) =>
      memory.look({
        query: (statement: SqlStatement) =>
          statement.values?.length === 2
            ? Promise.reject(new Error('lost'))
            : session.query(statement),
      }),
    );
    await expect(failing).rejects.toThrow('lost');
    expect(await look()).toEqual({ asked: ['public.view_2'], pending: ['public.view_2'] });
  });
});
