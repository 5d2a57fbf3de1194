import { channel } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Client } from 'pg';
import { MaterializedViewChannels, SchemaService, type SyncReport } from '../../../lib/index.js';
import {
  type IndexRow,
  selectIndexesOf,
  selectViews,
  type ViewRow,
} from '../../../lib/postgres/view-catalog.sql.js';
import { bootRelease } from '../../support/test-app.js';
import { statementsOf } from '../../support/statement-count.js';
import { TestDatabase } from '../../support/test-database.js';
import type { TestView } from '../../support/view-class.js';

const JOINED =
  'SELECT id, o.amount, c.name FROM public.orders o JOIN public.customers c USING (id)';
const joined: TestView = {
  name: 'joined "rows"',
  schema: 'Odd schema',
  expression: JOINED,
  columns: ['id', 'amount', 'name'],
  key: ['id'],
};
const above: TestView = {
  name: 'above',
  expression: `SELECT max(amount) AS id FROM "Odd schema"."joined ""rows"""`,
};
const VIEW = `"Odd schema"."joined ""rows"""`;
const KEY = `"Odd schema"."joined ""rows""_key"`;

/** Each changes what PostgreSQL prints for the view or its index. */
const CHANGES: [what: string, statements: string][] = [
  ['a table is renamed', 'ALTER TABLE orders RENAME TO sales'],
  [
    'tables exchange their names',
    'ALTER TABLE orders RENAME TO o; ALTER TABLE customers RENAME TO orders; ALTER TABLE o RENAME TO customers',
  ],
  ['a table is moved', 'CREATE SCHEMA far; ALTER TABLE orders SET SCHEMA far'],
  ['a schema is renamed', 'ALTER SCHEMA public RENAME TO formerly'],
  ['a column of a table is renamed', 'ALTER TABLE customers RENAME name TO title'],
  [
    'columns exchange their names',
    'ALTER TABLE customers RENAME name TO n; ALTER TABLE customers RENAME note TO name; ALTER TABLE customers RENAME n TO note',
  ],
  ['a column of the view is renamed', `ALTER MATERIALIZED VIEW ${VIEW} RENAME name TO title`],
  ['a table gains a column of the same name', 'ALTER TABLE orders ADD name text'],
  [
    'the view gets another query',
    `DROP MATERIALIZED VIEW ${VIEW} CASCADE; CREATE MATERIALIZED VIEW ${VIEW} AS ${JOINED} WHERE id > 0`,
  ],
  [
    'the index gets another order',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (id DESC)`,
  ],
  [
    'the index gets another column',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (amount)`,
  ],
  [
    'the index includes a column',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (id) INCLUDE (amount)`,
  ],
  [
    'the index gets a predicate',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (id) WHERE id > 0`,
  ],
  [
    'the index gets an expression',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} ((id + 1))`,
  ],
  [
    'the index gets a collation',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (name COLLATE "C")`,
  ],
  [
    'the index gets an operator class',
    `DROP INDEX ${KEY}; CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (name text_pattern_ops)`,
  ],
  ['the index gets a parameter', `ALTER INDEX ${KEY} SET (fillfactor = 50)`],
];

/** Queries whose text depends on more than relations, so only the text shows a change. */
const OBSCURE: [what: string, expression: string, statements: string][] = [
  [
    'a label of an enum',
    `SELECT 'new'::public.mood AS id`,
    `ALTER TYPE mood RENAME VALUE 'new' TO 'fresh'`,
  ],
  ['a function', 'SELECT public.twice(1) AS id', 'ALTER FUNCTION twice(int) RENAME TO double'],
  [
    'the attribute of a type',
    'SELECT (public.make_pair()).a AS id',
    'ALTER TYPE pair RENAME ATTRIBUTE a TO b CASCADE',
  ],
  [
    'a name in an array',
    `SELECT '{public.orders}'::regclass[] AS id`,
    'ALTER TABLE orders RENAME TO sales',
  ],
  ['a role', `SELECT 'postgres=r/postgres'::aclitem AS id`, 'CREATE ROLE someone_else'],
  [
    'an operator',
    'SELECT 1 OPERATOR(public.=*=) 1 AS id',
    'ALTER OPERATOR public.=*= (int, int) SET SCHEMA "Odd schema"',
  ],
  ['a domain', `SELECT 1::public.quantity AS id`, 'ALTER DOMAIN quantity RENAME TO amount'],
  ['a collation', `SELECT 'a' COLLATE public.same AS id`, 'ALTER COLLATION same RENAME TO other'],
];

describe('the origins of what PostgreSQL prints', () => {
  let database: TestDatabase;
  let session: Client;

  beforeEach(async () => {
    database = await TestDatabase.create();
    await database.query(
      `CREATE SCHEMA "Odd schema";
       CREATE TABLE orders (id int, amount int);
       CREATE TABLE customers (id int, name text, note text);
       CREATE TYPE mood AS ENUM ('new');
       CREATE TYPE pair AS (a int);
       CREATE DOMAIN quantity AS int;
       CREATE COLLATION same FROM "C";
       CREATE FUNCTION make_pair() RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW(1)::public.pair';
       CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
       CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
       CREATE OPERATOR =*= (FUNCTION = same, LEFTARG = int, RIGHTARG = int)`,
    );
    session = await database.session();
  });

  afterEach(async () => {
    await session.end();
    await database.drop();
  });

  const start = async (...views: TestView[]): Promise<SyncReport['counts'] | undefined> => {
    const reports: SyncReport[] = [];
    const take = (report: unknown): number => reports.push(report as SyncReport);
    channel(MaterializedViewChannels.sync).subscribe(take);
    const app = await bootRelease(database, views);
    channel(MaterializedViewChannels.sync).unsubscribe(take);
    await app.close();
    return reports[0]?.counts;
  };

  /** Reads the texts and origins of the view and its index. */
  async function read(
    name = 'joined "rows"',
    schema = 'Odd schema',
  ): Promise<Record<'texts' | 'origins', string>> {
    await session.query('SET search_path = pg_catalog, pg_temp');
    const [view] = (await session.query<ViewRow>(selectViews({ schema, name }))).rows;
    const [index] = (await session.query<IndexRow>(selectIndexesOf(view?.oid ?? '0'))).rows;
    await session.query('RESET search_path');
    return {
      texts: JSON.stringify([view?.definition, view?.sources_hash, index?.body]),
      origins: JSON.stringify([
        ...[view?.origin, view?.sources_hash, view?.columns.map((column) => column.name)],
        index?.origin,
      ]),
    };
  }

  it.each(CHANGES)('differ when %s', async (_, statements) => {
    await start(joined);
    const before = await read();
    expect(before.origins).not.toContain('null');
    await session.query(statements);
    const after = await read();
    expect(after.texts).not.toBe(before.texts);
    expect(after.origins).not.toBe(before.origins);
    await session.query(`DROP MATERIALIZED VIEW ${VIEW} CASCADE`);
  });

  it.each(OBSCURE)('are unknown for a view with %s', async (_, expression, statements) => {
    await session.query(`CREATE MATERIALIZED VIEW obscure AS ${expression}`);
    await session.query(statements);
    await session.query('SET search_path = pg_catalog, pg_temp');
    const [view] = (
      await session.query<ViewRow>(selectViews({ schema: 'public', name: 'obscure' }))
    ).rows;
    expect(view).toMatchObject({ definition: expect.any(String), origin: null });
  });

  it('are the same after a refresh and after what does not concern the view', async () => {
    await start(joined, above);
    const before = await read();
    await session.query(
      `REFRESH MATERIALIZED VIEW CONCURRENTLY ${VIEW}; GRANT SELECT ON ${VIEW} TO PUBLIC; ANALYZE;
       CREATE TABLE others (id int); ALTER TABLE customers ALTER note SET DEFAULT 'x'; CREATE INDEX ON orders (id)`,
    );
    await session.query('VACUUM FULL pg_rewrite');
    expect(await read()).toEqual(before);
  });

  it('save a boot the texts, except those with unknown origins', async () => {
    const views = [
      ...[joined, above],
      { name: 'moody', expression: `SELECT 'new'::public.mood AS id`, key: ['id'] },
      { name: 'twofold', expression: 'SELECT public.twice(1) AS id' },
    ];
    expect(await start(...views)).toMatchObject({ created: 4 });
    const sent = await statementsOf(async () => {
      expect(await start(...views)).toMatchObject({ unchanged: 4 });
    });
    expect(sent).toContain(selectViews(undefined, 'origins').text);
    expect(sent).not.toContain(selectViews(undefined, 'brief').text);
    await session.query(`ALTER TYPE mood RENAME VALUE 'new' TO 'fresh'`);
    await expect(start(...views)).rejects.toThrow('invalid input value for enum mood');
  });

  it('are not needed where a view was made again with the same text', async () => {
    await start(joined, above);
    const before = await read();
    await session.query(
      `DROP MATERIALIZED VIEW above; ALTER TABLE orders RENAME TO old; CREATE TABLE orders (id int, amount int);
       DROP MATERIALIZED VIEW ${VIEW}; CREATE MATERIALIZED VIEW ${VIEW} AS ${JOINED};
       CREATE UNIQUE INDEX "joined ""rows""_key" ON ${VIEW} (id); CREATE MATERIALIZED VIEW above AS ${above.expression}`,
    );
    const after = await read();
    expect(after.texts).toBe(before.texts);
    expect(after.origins).not.toBe(before.origins);
    expect(await start(joined, above)).toMatchObject({ unchanged: 2 });
  });

  it('say nothing about what was not remembered with them', async () => {
    await start(joined);
    await database.query(
      `UPDATE materialized_views.view_state SET fingerprint = split_part(fingerprint, ' ', 1)`,
    );
    expect(await start(joined)).toMatchObject({ unchanged: 1 });
    await session.query('ALTER TABLE customers RENAME name TO title');
    const app = await bootRelease(database, [joined], { synchronize: false });
    expect(await app.get(SchemaService).diff()).toMatchObject([{ kind: 'query-fails' }]);
    await app.close();
  });
});
