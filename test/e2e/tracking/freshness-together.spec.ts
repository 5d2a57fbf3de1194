import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import { defineMaterializedView, RefreshService } from '../../../lib/index.js';
import { type PendingRow, selectPending } from '../../../lib/postgres/pending.sql.js';
import type { QualifiedName } from '../../../lib/postgres/identifier.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';

const STATE = 'materialized_views';
const TRIGGER = `${STATE}_capture_insert`;

/** Enough that what is read about them is kept for the next view. */
const PARTITION_COUNT = 12;

const QUERIES = {
  'one "table"': 'SELECT count(*) AS n FROM public.plain',
  parts: 'SELECT count(*) AS n FROM public.parts',
  same_parts: 'SELECT max(id) AS n FROM public.parts',
  parts_through_view: 'SELECT n FROM public.counted',
  parts_and_plain: 'SELECT p.id AS n FROM public.parts p JOIN public.plain USING (id)',
  named: 'SELECT public.doubled(21) AS n',
  doubled: 'SELECT public.doubled(id) AS n FROM public.plain',
  doubled_parts: 'SELECT public.doubled(id) AS n FROM public.parts',
  moods: 'SELECT mood AS n FROM public.moods',
};

const NAMES = Object.keys(QUERIES).map((name) => ({ schema: 'Odd schema', name }));

const VIEWS = Object.entries(QUERIES).map(([name, expression]) =>
  defineMaterializedView({
    schema: 'Odd schema',
    name,
    expression,
    columns: ['n'],
    refresh: { on: name === 'named' ? ['public.parts'] : 'sources' },
  }),
);

const NOBODY: QualifiedName = { schema: 'Odd schema', name: 'nobody' };

describe('views that are read together', () => {
  let database: TestDatabase;
  let app: TestingModule;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(
      `CREATE SCHEMA "Odd schema";
       CREATE TABLE plain (id int);
       CREATE TABLE parts (id int) PARTITION BY LIST (id);
       CREATE VIEW counted AS SELECT count(*) AS n FROM parts;
       CREATE TYPE mood AS (name text);
       CREATE TABLE moods (mood mood);
       CREATE FUNCTION doubled(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2 * n'`,
    );
    for (let id = 0; id < PARTITION_COUNT; id += 1) {
      await database.query(`CREATE TABLE part_${id} PARTITION OF parts FOR VALUES IN (${id})`);
    }
    app = await bootWith(database, { views: VIEWS });
    for (const each of VIEWS) {
      await app.get(RefreshService).refresh(each);
    }
  });

  afterAll(async () => {
    await app.close();
    await database.drop();
  });

  /** Leaves out the fields that describe the query, not the views. */
  const ask = async (names: QualifiedName[]): Promise<Partial<PendingRow>[]> => {
    const { text, values } = selectPending(STATE, names);
    const rows = await database.query<PendingRow & Record<string, unknown>>(text, values);
    return rows.map((row) => ({ ...row, now: undefined, took_ms: undefined, snapshot: undefined }));
  };

  const changed = async (): Promise<(string | undefined)[]> =>
    (await ask(NAMES)).filter((row) => !row.is_unchanged).map((row) => row.view_name);

  /** A change, and the views that it affects. */
  it.each([
    ['SELECT', []],
    ['INSERT INTO plain VALUES (1)', ['one "table"', 'parts_and_plain', 'doubled']],
    [
      'INSERT INTO part_3 VALUES (3)',
      ['parts', 'same_parts', 'parts_through_view', 'parts_and_plain', 'named', 'doubled_parts'],
    ],
    [
      `ALTER TABLE part_5 DISABLE TRIGGER ${TRIGGER}; ALTER TABLE part_5 ENABLE ALWAYS TRIGGER ${TRIGGER}`,
      ['parts', 'same_parts', 'parts_through_view', 'parts_and_plain', 'named', 'doubled_parts'],
    ],
    [
      'ALTER TABLE part_7 ALTER id SET STATISTICS 50',
      ['parts', 'same_parts', 'parts_through_view', 'parts_and_plain', 'named', 'doubled_parts'],
    ],
    [
      `CREATE OR REPLACE FUNCTION doubled(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n + n'`,
      ['named', 'doubled', 'doubled_parts', 'moods'],
    ],
    ['ALTER TYPE mood ADD ATTRIBUTE depth int', ['named', 'doubled', 'doubled_parts', 'moods']],
  ])('get the same answers as alone: %s', async (statement, concerned) => {
    expect(await changed()).toEqual([]);
    await database.query(statement);
    expect(await changed()).toEqual(concerned);
    const alone = (await Promise.all(NAMES.map((name) => ask([name])))).flat();
    expect(await ask(NAMES)).toEqual(alone);
    const reversed = [...NAMES].reverse();
    // A view that does not exist has no row.
    expect(await ask([NOBODY, ...reversed])).toEqual(alone.reverse());
    for (const each of VIEWS) {
      await app.get(RefreshService).refresh(each);
    }
  });
});
