import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { SchemaProject } from '../../support/schema-project.js';
import { TestDatabase } from '../../support/test-database.js';

const REVENUE = {
  name: 'daily "Revenue"',
  expression: 'SELECT day, sum(amount) AS revenue FROM public.orders GROUP BY day',
  columns: ['day', 'revenue'],
  indexes: [{ name: 'revenue_day', keys: ['day'], unique: true }],
};

const CHANGED = { ...REVENUE, expression: `${REVENUE.expression} HAVING sum(amount) > 0` };

const LATEST = {
  name: 'latest',
  expression: 'SELECT day, now() AS at FROM public.orders',
  columns: ['day', 'at'],
};

const VIEWS = `SELECT matviewname AS name FROM pg_matviews ORDER BY 1`;

// Each test continues where the previous one ended, because starting a process is slow.
describe('the commands that change or check the schema (features.md, rows 6 and 16)', () => {
  let database: TestDatabase;
  let project: SchemaProject;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query(`CREATE TABLE orders (id serial PRIMARY KEY, day text, amount numeric)`);
    await database.query(`INSERT INTO orders (day, amount) VALUES ('mon', 1), ('tue', 5)`);
    project = await SchemaProject.create(database.url);
    await project.declare([REVENUE]);
  });

  afterAll(async () => {
    await project.remove();
    await database.drop();
  });

  const json = async (...args: string[]): Promise<{ exitCode: number | null; json: unknown }> => {
    const { exitCode, stdout } = await project.run(...args, '--json');
    return { exitCode, json: JSON.parse(stdout) };
  };

  it('check exits with 2 if a view is missing, and diff prints the SQL without running it', async () => {
    expect(await json('check')).toMatchObject({
      exitCode: 2,
      json: { isDrifted: true, differences: [{ view: 'public.daily "Revenue"' }] },
    });
    const diff = await project.run('diff');
    expect(diff.exitCode).toBe(0);
    expect(diff.stdout).toContain('CREATE MATERIALIZED VIEW');
    expect(await database.query(VIEWS)).toEqual([]);
  });

  it('sync creates a new view without a question, and check exits with 0', async () => {
    expect(await json('sync')).toMatchObject({ exitCode: 0, json: { counts: { created: 1 } } });
    expect(await database.query(VIEWS)).toEqual([{ name: REVENUE.name }]);
    expect(await project.run('check')).toMatchObject({
      exitCode: 0,
      stdout: 'The database matches the code.\n',
    });
  });

  it('ends without an error when the reader of its output has gone, and goes on without one of its notes', async () => {
    const { stderr } = await project.runLine(
      '{ matviews list --json || echo "failed with $?" >&2; } | true',
    );
    expect(stderr).toBe('');
    await database.query(`DROP MATERIALIZED VIEW "daily ""Revenue"""`);
    await project.runLine('{ matviews sync 2>&1 >/dev/null; } | true');
    expect(await database.query(VIEWS)).toEqual([{ name: REVENUE.name }]);
  });

  it('check --data exits with 2 if rows are wrong, and shows none of them', async () => {
    await database.query(`INSERT INTO orders (day, amount) VALUES ('a secret day', 7)`);
    const { exitCode, stdout } = await project.run('check', '--data');
    expect(exitCode).toBe(2);
    expect(stdout).toContain('1 missing');
    expect(stdout).not.toContain('secret');
  });

  it('check --freshness exits with 3 if a view is stale', async () => {
    await project.declare([{ ...REVENUE, refresh: { maxStaleness: '1ms' } }]);
    expect(await project.run('sync')).toMatchObject({ exitCode: 0 });
    await database.query(`INSERT INTO orders (day, amount) VALUES ('wed', 1)`);
    expect(await json('check', '--freshness')).toMatchObject({
      exitCode: 3,
      json: { isDrifted: false, stale: [{ view: 'public.daily "Revenue"' }] },
    });
  });

  it('sync refuses to recompute rows without a terminal, unless with --yes', async () => {
    await project.declare([CHANGED]);
    const refused = await project.run('sync');
    expect(refused).toMatchObject({ exitCode: 4, stdout: '' });
    expect(refused.stderr).toContain('--yes');
    const dry = await project.run('sync', '--dry-run');
    expect(dry.exitCode).toBe(0);
    expect(dry.stdout).toContain('HAVING');
    expect((await project.run('check')).exitCode).toBe(2);
    expect(await json('sync', '--yes')).toMatchObject({
      exitCode: 0,
      json: { counts: { changed: 1 } },
    });
  });

  it('generate writes a migration, and none if there is nothing to do', async () => {
    expect(await json('generate', 'migrations/Nothing')).toEqual({
      exitCode: 0,
      json: { path: null },
    });
    await project.declare([CHANGED, LATEST]);
    const { exitCode } = await json('generate', 'migrations/AddLatest', '-o', '--esm', '-t', '7');
    expect(exitCode).toBe(0);
    const folder = path.join(project.folder, 'migrations');
    const [file = ''] = await readdir(folder);
    expect(file).toMatch(/^7-.*\.js$/);
    expect(await readFile(path.join(folder, file), 'utf8')).toContain('export class AddLatest7');
    const wrong = await project.run('generate', 'migrations/A', '-t', 'soon');
    expect(wrong.exitCode).toBe(4);
  });

  it('explain says what is possible for a view, and why not', async () => {
    expect(await project.run('sync')).toMatchObject({ exitCode: 0 });
    const { json: document } = await json('explain');
    expect(document).toMatchObject({
      views: [
        {
          view: 'public.daily "Revenue"',
          on: { isPossible: true },
          concurrently: { isPossible: true },
        },
        {
          view: 'public.latest',
          refreshedBy: ['only on demand'],
          on: { isPossible: true },
          skipUnchanged: { isPossible: false, reasons: [expect.stringContaining('now()')] },
          concurrently: { isPossible: false, reasons: [expect.stringContaining('unique index')] },
          swap: { isPossible: true },
        },
      ],
    });
    const one = await project.run('explain', 'latst');
    expect(one.exitCode).toBe(4);
    expect(one.stderr).toContain('latest');
  });

  it('drop asks, and drops only the named views', async () => {
    const refused = await project.run('drop', 'latest');
    expect(refused.exitCode).toBe(4);
    expect(await json('drop', 'latest', '--yes')).toEqual({
      exitCode: 0,
      json: { dropped: ['public.latest'] },
    });
    expect(await database.query(VIEWS)).toEqual([{ name: REVENUE.name }]);
    expect((await project.run('drop', '--yes')).exitCode).toBe(4);
  });

  // `script` of util-linux. On other systems it takes different arguments, and nothing else provides a terminal.
  const inTerminal = existsSync('/usr/bin/script') ? describe : describe.skip;

  inTerminal('sync and drop ask on a terminal', () => {
    const isChanged = async (): Promise<boolean> => {
      const [row] = await database.query<{ changed: boolean }>(
        `SELECT definition ILIKE '%HAVING%' AS changed FROM pg_matviews`,
      );
      return row?.changed ?? false;
    };

    it.each<[string, string, string[], number, string]>([
      ['n', 'n\n', ['sync'], 4, 'Nothing has been changed.'],
      ['n', 'n\n', ['drop', '--all'], 4, 'Nothing has been changed.'],
      ['Ctrl-D', '\x04', ['drop', '--all'], 4, 'Nothing has been changed.'],
      ['Ctrl-C', '\x03', ['sync'], 130, 'Interrupted.'],
    ])('leaves all as it is on %s (%j) to %j', async (_key, keys, args, exitCode, says) => {
      await project.declare([REVENUE]);
      const end = await project.runInTerminal(keys, ...args);
      expect(end).toMatchObject({ exitCode, stdout: expect.stringContaining(says) as unknown });
      expect(end.stdout).toContain(REVENUE.name);
      expect(await isChanged()).toBe(true);
    });

    it('does it on y', async () => {
      expect(await project.runInTerminal('y\n', 'sync')).toMatchObject({ exitCode: 0 });
      expect(await isChanged()).toBe(false);
      expect(await project.runInTerminal('yes\n', 'drop', '--all')).toMatchObject({ exitCode: 0 });
      expect(await database.query(VIEWS)).toEqual([]);
    });
  });
});
