import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { diagnose } from '../../support/doctor.js';
import { SchemaProject } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';

const KEYED = {
  name: 'keyed "view"',
  expression: 'SELECT id, note FROM public.orders',
  columns: ['id', 'note'],
  indexes: [{ name: 'keyed_note', keys: ['note'], unique: true }],
};

const CALLING = {
  name: 'calling',
  expression: 'SELECT public.looks_up() AS id FROM public.guarded',
  columns: ['id'],
};

describe('doctor (features.md, row 6)', () => {
  let database: TestDatabase;
  let project: SchemaProject;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, note text)`);
    await database.query(`INSERT INTO orders (note) VALUES (NULL), ('a'), (NULL)`);
    await database.query(`CREATE TABLE guarded (id int)`);
    await database.query(
      `CREATE FUNCTION looks_up() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN 1; END $f$`,
    );
    project = await SchemaProject.create(database.url);
    await project.declare([KEYED, CALLING]);
  });

  afterAll(async () => {
    await project.remove();
    await database.drop();
  });

  it('says that the tables are missing before anything exists', async () => {
    const { exitCode, found } = await diagnose(project);
    expect(exitCode).toBe(1);
    expect(found).toMatchObject([{ severity: 'error', code: 'tables-version' }]);
  });

  it('finds what will fail, each with a statement that fixes it', async () => {
    expect(await project.run('sync')).toMatchObject({ exitCode: 0 });
    await database.query(`ANALYZE "keyed ""view"""`);
    await database.query(`ALTER DATABASE ${database.name} SET session_replication_role = replica`);
    const { exitCode, found } = await diagnose(project);
    expect(exitCode).toBe(0);
    expect(found.map(({ code, view }) => [code, view])).toEqual([
      ['setting', undefined],
      ['null-keys', 'public.keyed "view"'],
      ['no-unique-index', 'public.calling'],
      ['function-path', 'public.calling'],
    ]);
    for (const { code, fix } of found.filter((each) => each.code !== 'null-keys')) {
      await database.query(code === 'no-unique-index' ? fix.replace('("id")', '(id)') : fix);
    }
    expect((await diagnose(project)).found.map(({ code }) => code)).toEqual(
      // The only fix that was not run. The added index is not declared, which is no finding.
      ['null-keys'],
    );
  });

  it('finds what a refresh may not read, as which role, and who holds its lock', async () => {
    await database.query(`GRANT CREATE ON SCHEMA public TO pg_monitor`);
    await database.query(`ALTER MATERIALIZED VIEW calling OWNER TO pg_monitor`);
    await database.query(`ALTER TABLE guarded ENABLE ROW LEVEL SECURITY`);
    const { exitCode, found } = await diagnose(project);
    expect(exitCode).toBe(1);
    const ofCalling = found.filter(({ view }) => view === 'public.calling');
    expect(ofCalling).toMatchObject([
      { code: 'no-select', fix: 'GRANT SELECT ON public.guarded TO "pg_monitor";' },
      { code: 'row-security' },
    ]);
    await database.query(`ALTER MATERIALIZED VIEW calling OWNER TO CURRENT_USER`);
  });

  it('finds what is no longer declared', async () => {
    await project.declare([KEYED]);
    const { found } = await diagnose(project);
    const orphan = found.find(({ code }) => code === 'orphan');
    expect(orphan).toMatchObject({ fix: 'DROP MATERIALIZED VIEW "public"."calling";' });
  });
});
