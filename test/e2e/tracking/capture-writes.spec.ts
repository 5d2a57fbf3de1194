import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { TestingModule } from '@nestjs/testing';
import type { Client } from 'pg';
import { oneIn } from '../../support/matrix.js';
import { bootWith } from '../../support/test-app.js';
import { TestDatabase } from '../../support/test-database.js';
import { viewClass } from '../../support/view-class.js';

const LOG = 'materialized_views.change_log';

const View = viewClass({
  schema: 'Odd schema',
  name: 'all "of" it',
  expression: `SELECT 1 AS id FROM plain, child, nulled, deferred, parted, ancestor, "Odd schema"."odd ""table"""`,
  refresh: { on: 'sources' },
});

/** A write by a new session, and the changes that are logged. */
const WRITES: [string, string, string[]][] = [
  ['INSERT', `INSERT INTO plain VALUES (9)`, ['INSERT plain']],
  ['UPDATE', `UPDATE plain SET v = 5 WHERE id = 1`, ['UPDATE plain']],
  ['UPDATE of an indexed column', `UPDATE plain SET id = 8 WHERE id = 1`, ['UPDATE plain']],
  ['UPDATE to what is there', `UPDATE plain SET v = v`, ['UPDATE plain']],
  ['DELETE', `DELETE FROM plain WHERE id = 1`, ['DELETE plain']],
  [
    'a table whose name needs quoting',
    `INSERT INTO "Odd schema"."odd ""table""" VALUES (1)`,
    [`INSERT "Odd schema"."odd ""table"""`],
  ],
  ['UPDATE of no row', `UPDATE plain SET v = 5 WHERE id = -1`, []],
  ['DELETE of no row', `DELETE FROM plain WHERE id = -1`, []],
  ['INSERT of no row', `INSERT INTO plain SELECT 1 WHERE false`, []],
  [
    'COPY',
    `COPY plain FROM PROGRAM 'for i in 11 12 13; do printf "$i\\t1\\n"; done'`,
    ['INSERT plain'],
  ],
  ['ON CONFLICT DO NOTHING', `INSERT INTO plain VALUES (1) ON CONFLICT DO NOTHING`, []],
  [
    'ON CONFLICT DO UPDATE, in conflict',
    `INSERT INTO plain VALUES (1) ON CONFLICT (id) DO UPDATE SET v = 7`,
    ['UPDATE plain', 'INSERT plain'],
  ],
  [
    'ON CONFLICT DO UPDATE, not in conflict',
    `INSERT INTO plain VALUES (9) ON CONFLICT (id) DO UPDATE SET v = 7`,
    ['UPDATE plain', 'INSERT plain'],
  ],
  [
    'statements within another',
    `WITH gone AS (DELETE FROM plain RETURNING *), come AS (INSERT INTO child SELECT 5 WHERE false)
     INSERT INTO ancestor SELECT 1 FROM gone`,
    ['DELETE plain', 'INSERT ancestor', 'INSERT child'],
  ],
  ['ON DELETE CASCADE', `DELETE FROM parent WHERE id = 1`, ['DELETE child', 'UPDATE nulled']],
  ['ON DELETE SET NULL', `DELETE FROM parent WHERE id = 2`, ['DELETE child', 'UPDATE nulled']],
  ['ON UPDATE CASCADE', `UPDATE parent SET id = 7 WHERE id = 1`, ['UPDATE child']],
  ['a cascade that is deferred', `DELETE FROM later WHERE id = 1`, ['UPDATE deferred']],
  ['a parent', `INSERT INTO parted VALUES (9, 1)`, ['INSERT parted']],
  ['a parent that moves rows', `UPDATE parted SET k = 2 WHERE k = 1`, ['UPDATE parted']],
  [
    'a parent in conflict',
    `INSERT INTO parted VALUES (1, 1) ON CONFLICT (id, k) DO UPDATE SET id = 3`,
    ['UPDATE parted', 'INSERT parted'],
  ],
  ['a parent of which no row is touched', `DELETE FROM parted WHERE id = -1`, []],
  ['a partition', `UPDATE parted_1 SET id = 5`, ['UPDATE parted_1']],
  ['a partition of which none is', `DELETE FROM parted_1 WHERE id = -1`, []],
  ['a partition that is a parent', `UPDATE parted_2 SET id = 2`, ['UPDATE parted_2']],
  ['what is inherited, by its parent', `UPDATE ancestor SET id = 3`, ['UPDATE ancestor']],
  ['what is inherited, by itself', `UPDATE heir SET id = 3`, ['UPDATE heir']],
  ['only the parent', `UPDATE ONLY ancestor SET id = 3`, ['UPDATE ancestor']],
  [
    'a partition that is one no more',
    `ALTER TABLE parted DETACH PARTITION parted_1; DELETE FROM parted_1; DELETE FROM parted_1`,
    ['DELETE parted_1', 'DELETE parted_1'],
  ],
  [
    'a table that is truncated before',
    `BEGIN; DELETE FROM plain; TRUNCATE plain; INSERT INTO plain VALUES (1); COMMIT`,
    ['DELETE plain', 'TRUNCATE plain', 'INSERT plain'],
  ],
  [
    'a table that is truncated, and not',
    `BEGIN; SAVEPOINT s; TRUNCATE plain; ROLLBACK TO s; DELETE FROM plain WHERE id = 1; COMMIT`,
    ['DELETE plain'],
  ],
  [
    'a write after another that was taken back',
    `BEGIN; SAVEPOINT s; DELETE FROM plain; ROLLBACK TO s; DELETE FROM plain WHERE id = 1; COMMIT`,
    ['DELETE plain'],
  ],
  [
    'a write within a savepoint',
    `BEGIN; SAVEPOINT s; DELETE FROM plain; RELEASE s; COMMIT`,
    ['DELETE plain'],
  ],
  ['TRUNCATE of what is empty', `TRUNCATE ancestor`, ['TRUNCATE ancestor', 'TRUNCATE heir']],
  [
    'a write that catches an error',
    `DO $$ BEGIN BEGIN DELETE FROM plain; PERFORM 1/0; EXCEPTION WHEN OTHERS THEN UPDATE plain SET v = 2; END; END $$`,
    ['UPDATE plain'],
  ],
  [
    'a procedure that commits',
    `DO $$ BEGIN FOR i IN 1..2 LOOP UPDATE plain SET v = i; COMMIT; END LOOP; END $$`,
    ['UPDATE plain', 'UPDATE plain'],
  ],
  [
    'no count',
    `SET track_counts = off; UPDATE plain SET v = 1; UPDATE plain SET v = 1 WHERE false`,
    ['UPDATE plain', 'UPDATE plain'],
  ],
  [
    'no count for a function alone',
    `CREATE FUNCTION public.f() RETURNS void LANGUAGE sql SET track_counts = off AS 'UPDATE plain SET v = 1'; SELECT public.f()`,
    ['UPDATE plain'],
  ],
  [
    'counts that are reset',
    `BEGIN; UPDATE plain SET v = 1; SELECT pg_stat_reset(); UPDATE plain SET v = 1; COMMIT`,
    ['UPDATE plain', 'UPDATE plain'],
  ],
  [
    'as a replica does',
    `SET session_replication_role = replica; UPDATE plain SET v = 1`,
    ['UPDATE plain'],
  ],
  [
    'no row, by a transaction of its own',
    `BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE plain SET v = 1 WHERE false; DELETE FROM heir WHERE false; COMMIT`,
    [],
  ],
  [
    'no row, needlessly, after another write of the transaction',
    `BEGIN; INSERT INTO later VALUES (5); DELETE FROM plain WHERE false; COMMIT`,
    ['DELETE plain'],
  ],
  [
    'what is not counted by the server, though it counts',
    `CREATE FUNCTION public.g() RETURNS int LANGUAGE plpgsql SET track_counts = off AS 'BEGIN RETURN (SELECT max(v) FROM plain); END';
     UPDATE plain SET v = public.g()`,
    ['UPDATE plain'],
  ],
  [
    'a prepared statement, many times',
    `PREPARE w(int) AS UPDATE plain SET v = 1 WHERE id = $1; EXECUTE w(-1); EXECUTE w(1); EXECUTE w(2);
     DEALLOCATE w`,
    ['UPDATE plain', 'UPDATE plain'],
  ],
  [
    'a view that passes the write on',
    `CREATE VIEW public.through AS SELECT * FROM plain; UPDATE through SET v = 1 WHERE id = 1`,
    ['UPDATE plain'],
  ],
  [
    'a trigger that takes the row away',
    `CREATE FUNCTION public.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
     CREATE TRIGGER none BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION public.none(); INSERT INTO plain VALUES (9)`,
    ['INSERT plain'],
  ],
];

describe('what is logged about a write', () => {
  let database: TestDatabase;
  let app: TestingModule;
  let writer: Client;

  beforeAll(async () => {
    database = await TestDatabase.create();
  });

  beforeEach(async () => {
    await database.query(`
      DROP SCHEMA IF EXISTS materialized_views, "Odd schema", public CASCADE;
      CREATE SCHEMA public; CREATE SCHEMA "Odd schema";
      CREATE TABLE plain (id int PRIMARY KEY, v int) WITH (fillfactor = 50);
      INSERT INTO plain VALUES (1), (2);
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
      CREATE TABLE nulled (id int REFERENCES parent ON DELETE SET NULL);
      CREATE TABLE later (id int PRIMARY KEY);
      CREATE TABLE deferred (id int REFERENCES later ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED);
      INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (1); INSERT INTO nulled VALUES (2);
      INSERT INTO later VALUES (1); INSERT INTO deferred VALUES (1);
      CREATE TABLE parted (id int, k int, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY LIST (k);
      CREATE TABLE parted_2_all PARTITION OF parted_2 DEFAULT;
      INSERT INTO parted VALUES (1, 1), (2, 2);
      CREATE TABLE ancestor (id int); CREATE TABLE heir () INHERITS (ancestor); INSERT INTO heir VALUES (1);
      INSERT INTO ancestor VALUES (1);
      CREATE TABLE "Odd schema"."odd ""table""" (id int)`);
    app = await bootWith(database, { views: [View] });
    writer = await database.session();
    await database.query(`TRUNCATE ${LOG}`);
  });

  afterEach(async () => {
    await writer.end();
    await app.close();
  });

  afterAll(() => database.drop());

  const logged = async (): Promise<unknown[]> =>
    (
      await database.query<{ what: string }>(
        `SELECT kind || ' ' || source::regclass AS what FROM ${LOG} ORDER BY changed_at`,
      )
    ).map(({ what }) => what);

  it('does not copy the rows, which a limit of the server could forbid', async () => {
    await database.query(`CREATE TABLE numbers AS SELECT generate_series(10, 50000) AS id`);
    await writer.query(`SET temp_file_limit = 0; SET work_mem = '64kB'`);
    await writer.query(`INSERT INTO plain SELECT id, 1 FROM numbers`);
    await writer.query(`UPDATE plain SET v = v + 1`);
    expect(await logged()).toEqual(['INSERT plain', 'UPDATE plain']);
  });

  it('lets writes through to a partition that is a foreign table', async () => {
    const { hostname, port, username, password } = new URL(database.directUrl);
    await database.query(`
      CREATE TABLE elsewhere (id int, k int);
      CREATE EXTENSION postgres_fdw SCHEMA public;
      CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw
        OPTIONS (host '${hostname}', port '${port}', dbname '${database.name}');
      CREATE USER MAPPING FOR CURRENT_USER SERVER self OPTIONS (user '${username}', password '${password}');
      CREATE FOREIGN TABLE far (id int, k int) SERVER self OPTIONS (table_name 'elsewhere')`);
    await database.query(
      `ALTER TABLE ancestor ADD k int; ALTER FOREIGN TABLE far INHERIT ancestor`,
    );
    await writer.query(`UPDATE ancestor SET id = 5; DELETE FROM ancestor`);
    expect(await logged()).toEqual(['UPDATE ancestor', 'DELETE ancestor']);
  });

  it.each(oneIn(2, WRITES))('covers %s', async (_, script, expected) => {
    await writer.query(script);
    expect(await logged()).toEqual(expected);
  });
});
