import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { DataSource, Index, ViewColumn } from 'typeorm';
import { Project } from '../../../lib/cli/project.js';
import { MaterializedViewEntity } from '../../../lib/index.js';
import { ADVISORY_LOCKS, TestDatabase } from '../../support/test-database.js';
import { CliProject, type CliRun, type ProjectKind } from '../../support/cli-project.js';

@MaterializedViewEntity({
  name: 'totals',
  expression: 'SELECT 1 AS id, count(*)::int AS total FROM orders WHERE public.gate()',
})
@Index('totals_id', ['id'], { unique: true })
class Totals {
  @ViewColumn() id!: number;
  @ViewColumn() total!: number;
}

@MaterializedViewEntity({ name: 'summary', expression: 'SELECT sum(total) AS sum FROM totals' })
class Summary {
  @ViewColumn() sum!: number;
}

/** Boots like the project's application. */
async function boot(): Promise<void> {
  const dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    entities: [Totals, Summary],
  });
  const say = (): void => undefined;
  const log = { error: say, warn: say, log: say, debug: say };
  const booted = await Project.open(dataSource, {}, log);
  await booted.source.boot();
  await booted.close();
}

let database: TestDatabase;
let project: CliProject;

const projects: CliProject[] = [];

function createProject(
  kind: ProjectKind,
  options: Partial<ConstructorParameters<typeof CliProject>[1]> = {},
): CliProject {
  const created = new CliProject(kind, { databaseUrl: database.url, ...options });
  projects.push(created);
  return created;
}

const json = ({ stdout }: CliRun): Record<string, unknown> =>
  JSON.parse(stdout) as Record<string, unknown>;

beforeAll(async () => {
  database = await TestDatabase.create();
  await database.createGate();
  await database.query('CREATE TABLE orders AS SELECT 1 AS id');
  await boot();
  project = createProject('javascript-cjs');
});

afterAll(async () => {
  projects.forEach((each) => each.remove());
  await database.drop();
});

describe('matviews, on data sources (features.md, row 6)', () => {
  it.each<[ProjectKind, string[] | undefined]>([
    ['typescript-esm', undefined],
    ['typescript-cjs', undefined],
    ['typescript-cjs', ['ts-node']],
    ['javascript-esm', undefined],
    ['javascript-cjs', undefined],
  ])('finds the views of a %s project, with %j', async (kind, packages) => {
    const run = await createProject(kind, { packages }).run('list', '--json');
    expect(run).toMatchObject({ code: 0 });
    expect(json(run)).toEqual({
      views: [
        {
          view: 'public.totals',
          class: 'Totals',
          kind: 'materialized',
          cron: '0 3 * * *',
          timeZone: 'UTC',
          scheduler: 'application',
          mode: 'auto',
        },
        { view: 'public.summary', class: 'Summary', kind: 'materialized', mode: 'auto' },
      ],
    });
    // Output of the data source file must not end up in the JSON document.
    expect(run.stderr.includes('a line of the data source file')).toBe(kind.startsWith('type'));
  });

  it('loads TypeScript where Node has something else to load first', async () => {
    const env = { NODE_OPTIONS: '--require node:fs --import=data:text/javascript,' };
    const run = await createProject('typescript-esm', { env }).run('list', '--json');
    expect(run).toMatchObject({ code: 0 });
  });

  it('uses the loader that Node was given', async () => {
    const env = { NODE_OPTIONS: '--require ts-node/register/transpile-only' };
    const given = createProject('typescript-cjs', { packages: ['ts-node'], env });
    expect(await given.run('list', '--json')).toMatchObject({ code: 0 });
  });

  it.each(['', '--require node:fs'])(
    'says what to install where nothing loads TypeScript, with %j',
    async (NODE_OPTIONS) => {
      const project = createProject('typescript-esm', { packages: [], env: { NODE_OPTIONS } });
      const run = await project.run('list', '--json');
      expect(run.code).toBe(1);
      expect(run.stderr).toContain('npm install --save-dev @swc-node/register @swc/core');
      expect(json(run)).toMatchObject({ error: { code: 'MV_DATA_SOURCE_FILE' } });
    },
  );

  it('shows no password and no stack if it cannot connect', async () => {
    const url = new URL(database.url);
    url.password = 'very-secret';
    url.port = '1';
    const run = await createProject('javascript-cjs', { databaseUrl: url.href }).run('list');
    expect(run.code).toBe(1);
    expect(run.stdout).toBe('');
    expect(run.stderr).toMatch(/^error: .*ECONNREFUSED/);
    expect(run.stderr).not.toMatch(/very-secret|\n {4}at /);
  });
});

describe('matviews, on the command line (features.md, row 6)', () => {
  it('exits with 4 for a usage error', async () => {
    const unnamed = createProject('javascript-cjs', { matviews: {} });
    const runs = await Promise.all([
      project.run('statsu'),
      project.run('refresh'),
      project.run('pause', 'public.total'),
      unnamed.run('list'),
      project.run('history', '--limit', 'all'),
      project.run('refresh', '--all', '--parallel', 'many', '--timeout', '5m'),
      project.run('refresh', '--all', '--timeout', 'soon'),
    ]);
    expect(runs.map(({ code }) => code)).toEqual([4, 4, 4, 4, 4, 4, 4]);
    expect(runs.map(({ stderr }) => stderr)).toEqual([
      expect.stringContaining('Did you mean status?'),
      expect.stringContaining('Name the views to refresh, or pass --all.'),
      expect.stringContaining('is not a registered materialized view'),
      expect.stringContaining('hint: Name one with `-d'),
      expect.stringContaining("'--limit <count>' argument 'all' is invalid"),
      expect.stringContaining("'--parallel <count>' argument 'many' is invalid"),
      expect.stringContaining("'--timeout <duration>' argument 'soon' is invalid"),
    ]);
  });
});

describe('matviews --json (features.md, row 6)', () => {
  it.each([
    [['list', '--jason', '--json']],
    [['statsu', '--json']],
    [['history', '--json', '--limit', '-1']],
    [['refresh', '--json', '--all', '--timeout', '99999999999999999999d']],
    [['cancel', '--json']],
    [['list', '--json', '--data-source']],
    [['list', '--json', '-d', 'nowhere.ts']],
    [['pause', '--json', 'public.nowhere']],
  ])('prints an error as one document: %j', async (args) => {
    const run = await project.run(...args);
    expect(run.code).toBe(args.includes('nowhere.ts') ? 1 : 4);
    expect(json(run)).toEqual({
      error: expect.objectContaining({
        code: expect.stringMatching(/^MV_/) as unknown,
        message: expect.stringMatching(/^(?!error)./) as unknown,
      }) as unknown,
    });
    expect(run.stderr).toMatch(/^error: /);
  });
});

describe('matviews, at run time (features.md, row 6)', () => {
  it('refreshes, and shows the status of the views', async () => {
    const refreshed = await project.run(
      ...['refresh', 'public.totals', '--cascade', 'dependents', '--mode', 'blocking'],
      ...['--parallel', '1', '--timeout', '1m', '-d', project.dataSourceFile],
    );
    expect(refreshed.stderr).toMatch(/public\.totals: started, usually [\d.]+ m?s\n/);
    expect(refreshed.stderr).toMatch(/public\.summary: refreshed in [\d.]+ m?s\n/);
    expect(refreshed.stdout).toMatch(/^VIEW +OUTCOME +MODE +TOOK +WHY\n/);
    expect(refreshed.stdout).toMatch(/\npublic\.totals +refreshed +blocking +.* +requested\n/);
    expect(refreshed.code).toBe(0);

    const status = await project.run('status');
    expect(status.stdout).toMatch(/\npublic\.totals +ok +[\d.]+ m?s /);
    const history = json(await project.run('history', 'public.totals', '--limit', '1', '--json'));
    expect(history).toMatchObject({
      runs: [{ view: 'public.totals', trigger: 'demand', mode: 'blocking' }],
    });
  });

  it('accepts a schema for views that are named without one', async () => {
    const schema = ['--schema', 'public', '--json'];
    const commands = ['status', 'history', 'explain', 'pause'];
    for (const run of await Promise.all(
      commands.map((command) => project.run(command, 'totals', ...schema)),
    )) {
      expect(run).toMatchObject({ code: 0, stderr: '' });
      expect(run.stdout).toContain('public.totals');
      expect(run.stdout).not.toContain('"public.summary"');
    }
    const [resumed, refreshed, cancelled] = await Promise.all(
      ['resume', 'refresh', 'cancel'].map((command) => project.run(command, 'totals', ...schema)),
    );
    expect(json(resumed as CliRun)).toEqual({ resumed: ['public.totals'] });
    expect(json(refreshed as CliRun)).toMatchObject({
      views: [{ view: 'public.totals', outcome: 'refreshed' }],
    });
    expect(json(cancelled as CliRun)).toMatchObject({ view: 'public.totals' });
    const all = [['refresh', '--all'], ['status'], ['drop', '--all', '--yes']];
    for (const run of await Promise.all(
      all.map((args) => project.run(...args, '--schema', 'nowhere')),
    )) {
      expect(run).toMatchObject({ code: 4, stdout: '' });
      expect(run.stderr).toContain('schema "nowhere"');
    }
  });

  it('fails with the whole report if a view fails', async () => {
    const run = await project.run(
      'refresh',
      '--all',
      '--mode',
      'concurrently',
      '--strict',
      '--json',
    );
    expect(run.code).toBe(1);
    expect(json(run)).toMatchObject({
      counts: { refreshed: 1, failed: 1 },
      views: [
        { view: 'public.totals', outcome: 'refreshed' },
        { view: 'public.summary', outcome: 'failed', error: { code: expect.any(String) } },
      ],
    });
    const stale = await project.run('refresh', '--all', '--if-stale');
    expect(stale).toMatchObject({ code: 0, stdout: 'Nothing to refresh.\n' });
  });

  it('draws the graph', async () => {
    const text = await project.run('graph');
    expect(text.stdout).toBe('public.totals\n└─ public.summary\n');
    const mermaid = await project.run('graph', '--format', 'mermaid');
    expect(mermaid.stdout).toBe(
      'flowchart TD\n  v0["public.totals"]\n  v1["public.summary"]\n  v0 --> v1\n',
    );
    const dot = await project.run('graph', '--format', 'dot');
    expect(dot.stdout).toContain('"public.totals" -> "public.summary";');
    const document = json(await project.run('graph', '--format', 'json'));
    expect(document).toMatchObject({ edges: [{ source: 'public.totals' }] });
  });

  it('shows all views in the database, and all details of one', async () => {
    const { views } = json(await project.run('inspect', '--schema', 'public', '--json')) as {
      views: unknown[];
    };
    expect(views).toMatchObject([
      { view: 'public.totals', isManaged: true, indexes: [{ name: 'totals_id' }] },
      { view: 'public.summary', dependencies: [{ kind: 'materialized-view', name: 'totals' }] },
    ]);
    const one = await project.run('inspect', 'totals');
    expect(one.stdout).toMatch(/^public\.totals\n {2}materialized-view, declared, owner /);
    expect(one.stdout).toContain('\n  read by\n    materialized-view public.summary\n');
    expect(await project.run('inspect', 'nix')).toMatchObject({ code: 4 });
  });

  it('pauses and resumes', async () => {
    expect(await project.run('pause', 'public.totals')).toMatchObject({
      code: 0,
      stdout: 'Paused: public.totals.\n',
    });
    expect(json(await project.run('status', 'public.totals', '--json'))).toMatchObject({
      views: [{ isPaused: true }],
    });
    expect(await project.run('resume', 'public.totals')).toMatchObject({ code: 0 });
  });
});

/** A refresh at a closed gate waits for a lock, so it needs a long timeout. */
const PATIENT = ['--lock-timeout', '5m'];

/** `script` is part of util-linux; every Debian image has it. */
const hasTerminal = existsSync('/usr/bin/script');

async function expectNobody(): Promise<void> {
  await database.until(`SELECT 1 WHERE NOT EXISTS (SELECT FROM ${ADVISORY_LOCKS})
    AND NOT EXISTS (SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend')`);
}

describe('matviews, while a view is refreshed (features.md, row 6)', () => {
  it('shows and cancels what runs in another process', async () => {
    const gate = await database.closeGate();
    const refreshing = project.run('refresh', 'public.totals', ...PATIENT);
    await gate.untilReached();
    expect(json(await project.run('running', '--json'))).toMatchObject({
      running: [{ view: 'public.totals', isForeign: false }],
    });
    expect(await project.run('cancel', 'public.totals')).toMatchObject({
      code: 0,
      stdout: 'Cancelled the refresh of public.totals.\n',
    });
    expect(await refreshing).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/public\.totals +failed/) as unknown,
    });
    await gate.open();
    await expectNobody();
  });

  // On other systems, `script` takes different arguments, and nothing else provides a terminal.
  const inTerminal = hasTerminal ? it : it.skip;
  inTerminal('shows a live line on a terminal, and cancels in the database on Ctrl-C', async () => {
    const gate = await database.closeGate();
    const child = project.startInTerminal('refresh', 'public.totals', ...PATIENT);
    let shown = '';
    child.stdout?.on('data', (chunk: Buffer) => (shown += chunk.toString()));
    const closed = once(child, 'close');
    await gate.untilReached();
    while (!/public\.totals {2}[\d.]+ m?s of usually [\d.]+ m?s/.test(shown)) {
      await once(child.stdout!, 'data');
    }
    child.stdin?.write('\x03');
    expect((await closed)[0]).toBe(130);
    expect(shown).toContain('Interrupted.');
    const holder = `SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND query ILIKE 'REFRESH%' AND state = 'active'`;
    expect(await database.query(holder)).toEqual([]);
    await gate.open();
    await expectNobody();
  });
});
