import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { LIBRARY_URL, SchemaProject, TYPEORM_URL } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';

const [ACME, HOSTILE] = ['acme', `o'"rders`];
const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** A data source file with one class for all tenants. The column depends on the release. */
const dataSourceOf = (column: string): string => `import typeorm from '${TYPEORM_URL}';
import { defineMaterializedView } from '${LIBRARY_URL}';
const totals = defineMaterializedView({
  name: 'totals',
  columns: ['total'],
  schemas: async (dataSource) => {
    const rows = await dataSource.query('SELECT schema FROM public.tenants ORDER BY schema');
    return rows.map(({ schema }) => schema);
  },
  expression: (_, { table }) => \`SELECT ${column} AS total FROM \${table('orders')}\`,
});
export default new typeorm.DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: [totals],
});
`;

const VIEWS = `SELECT schemaname || '.' || matviewname AS view, definition ~ 'count' AS counts FROM pg_matviews ORDER BY 1`;

// Each test continues where the previous one ended, because starting a process is slow.
describe('the command line with tenants (features.md, row 6)', () => {
  let database: TestDatabase;
  let project: SchemaProject;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE TABLE tenants (schema text)');
    for (const schema of [ACME, HOSTILE]) {
      await database.query(`CREATE SCHEMA ${quoted(schema)}`);
      await database.query(`CREATE TABLE ${quoted(schema)}.orders AS SELECT 1 AS amount`);
      await database.query('INSERT INTO tenants VALUES ($1)', [schema]);
    }
    project = await SchemaProject.create(database.url);
    await project.declare([], { application: 'shop' });
    await project.write('data-source.js', dataSourceOf('sum(amount)'));
  });

  afterAll(async () => {
    await project.remove();
    await database.drop();
  });

  const run = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { exitCode, stdout } = await project.run(...args, '--json');
    return { exitCode, ...(JSON.parse(stdout) as object) };
  };

  it('sync creates the views of one schema alone', async () => {
    expect(await run('sync', '--schema', HOSTILE)).toMatchObject({ counts: { created: 1 } });
    expect(await database.query(VIEWS)).toEqual([{ view: `${HOSTILE}.totals`, counts: false }]);
    expect(await run('check', '--schema', HOSTILE)).toMatchObject({ exitCode: 0 });
    expect(await run('check', '--schema', ACME)).toMatchObject({
      exitCode: 2,
      differences: [{ view: `${ACME}.totals`, kind: 'missing' }],
    });
    const found = async (...schema: string[]): Promise<unknown> => {
      const { findings } = await run('doctor', ...schema);
      return (findings as { code: string; view?: string }[]).flatMap(({ view }) => view ?? []);
    };
    expect(await found('--schema', HOSTILE)).toEqual([`${HOSTILE}.totals`]);
    expect(await found('--schema', ACME)).toEqual([`${ACME}.totals`]);
    expect(await found()).toEqual([`${ACME}.totals`, `${HOSTILE}.totals`]);
    expect(await run('sync')).toMatchObject({ counts: { created: 1, unchanged: 1 } });
  });

  it.each([
    ['list', 'views'],
    ['status', 'views'],
    ['history', 'runs'],
    ['inspect', 'views'],
    ['explain', 'views'],
  ])('%s takes a schema', async (command, member) => {
    const viewsOf = async (...args: string[]): Promise<string[]> => {
      const shown = (await run(command, ...args))[member] as { view: string }[];
      return [...new Set(shown.map(({ view }) => view))].sort();
    };
    expect(await viewsOf('--schema', HOSTILE)).toEqual([`${HOSTILE}.totals`]);
    expect(await viewsOf()).toEqual([`${ACME}.totals`, `${HOSTILE}.totals`]);
  });

  it('refreshes, pauses and checks the rows of one schema', async () => {
    await database.query('INSERT INTO acme.orders VALUES (2)');
    expect(await run('check', '--data', '--schema', HOSTILE)).toMatchObject({ exitCode: 0 });
    expect(await run('check', '--data', '--schema', ACME)).toMatchObject({
      exitCode: 2,
      drifted: [{ view: `${ACME}.totals` }],
    });
    expect(await run('refresh', 'totals', '--schema', ACME)).toMatchObject({
      views: [{ view: `${ACME}.totals`, outcome: 'refreshed' }],
    });
    expect(await run('check', '--data')).toMatchObject({ exitCode: 0 });
    expect(await run('pause', 'totals', '--schema', HOSTILE)).toMatchObject({ exitCode: 0 });
    expect(await run('status')).toMatchObject({
      views: [
        { view: `${ACME}.totals`, isPaused: false },
        { view: `${HOSTILE}.totals`, isPaused: true },
      ],
    });
    expect(await project.run('refresh', 'totals')).toMatchObject({ exitCode: 4, stdout: '' });
  });

  it('diff, generate and sync change one schema', async () => {
    await project.write('data-source.js', dataSourceOf('count(*)'));
    const { steps } = await run('diff', '--schema', ACME);
    expect(JSON.stringify(steps)).toContain('acme');
    expect(JSON.stringify(steps)).not.toContain('rders.totals');
    expect(await run('generate', 'migrations/Acme', '--schema', ACME)).toMatchObject({
      exitCode: 0,
    });
    const folder = path.join(project.folder, 'migrations');
    const [file = ''] = await readdir(folder);
    const source = await readFile(path.join(folder, file), 'utf8');
    expect(source).toContain('acme');
    expect(source).not.toMatch(/o'\W*rders/);
    expect(await run('sync', '--yes', '--schema', ACME)).toMatchObject({ counts: { changed: 1 } });
    expect(await database.query(VIEWS)).toEqual([
      { view: `${ACME}.totals`, counts: true },
      { view: `${HOSTILE}.totals`, counts: false },
    ]);
    expect(await run('sync', '--yes')).toMatchObject({ counts: { changed: 1 } });
  });

  it.each(['list', 'status', 'graph', 'diff', 'check', 'sync', 'doctor'])(
    '%s refuses a schema in which nothing is declared',
    async (command) => {
      const { exitCode, stderr } = await project.run(command, '--schema', 'nowhere');
      expect([exitCode, stderr]).toEqual([4, expect.stringContaining('in schema "nowhere"')]);
    },
  );

  it('prunes the views of one tenant that is gone', async () => {
    await database.query('DELETE FROM tenants WHERE schema = $1', [HOSTILE]);
    expect(await run('sync', '--prune', '--yes', '--schema', ACME)).toMatchObject({
      counts: { unchanged: 1 },
    });
    expect(await database.query(VIEWS)).toHaveLength(2);
    await project.run('sync', '--prune', '--yes', '--schema', HOSTILE);
    expect(await database.query(VIEWS)).toEqual([{ view: `${ACME}.totals`, counts: true }]);
  });

  it('prunes nothing where the function names no schema, unless the schema is named', async () => {
    await database.query('DELETE FROM tenants');
    const { exitCode, stderr } = await project.run('sync', '--prune', '--yes');
    expect(exitCode).toBe(0);
    expect(stderr).toContain('Not pruned: "acme.totals"');
    expect(stderr).toContain("matviews sync --prune --schema 'acme'");
    expect(await database.query(VIEWS)).toHaveLength(1);
    await project.runLine("matviews sync --prune --yes --schema 'acme'");
    expect(await database.query(VIEWS)).toEqual([]);
  });
});
