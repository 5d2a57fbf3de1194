import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Client } from 'pg';
import { Complaint } from '../../support/cleanup.js';

const SAMPLE = path.join(import.meta.dirname, '..');
const REPOSITORY = path.join(SAMPLE, '..', '..');

/** The paths of the packages' commands. In your project, `npx` finds them. */
const PROGRAMS: Record<string, string> = {
  matviews: path.join(REPOSITORY, 'dist', 'esm', 'cli', 'bin.js'),
  typeorm: path.join(REPOSITORY, 'node_modules', 'typeorm', 'cli.js'),
};

/** Lets Node load TypeScript. */
const LOADER = '--import @swc-node/register/esm-register';

export interface Expected {
  /** @default 0 */
  exitCode?: number;
  says: RegExp;
}

/** A copy of the project in a temporary folder, which the demo edits and migrates. */
export class ShopProject {
  /** Copies the project, and resets its schemas in the database. */
  static async create(databaseUrl: string): Promise<ShopProject> {
    const folder = await mkdtemp(path.join(tmpdir(), 'shop-'));
    await cp(path.join(SAMPLE, 'project'), folder, { recursive: true });
    await install(folder);
    const project = new ShopProject(folder, databaseUrl);
    await project.query('DROP SCHEMA IF EXISTS sample_migrations, sample_migrations_state CASCADE');
    await project.query('CREATE SCHEMA sample_migrations');
    console.log(`         A copy of project/ is in ${folder}`);
    console.log(`         export NODE_OPTIONS='${LOADER}'`);
    return project;
  }

  private constructor(
    private readonly folder: string,
    private readonly databaseUrl: string,
  ) {}

  /** Copies the files of an edit over those of the project. */
  async edit(name: string): Promise<void> {
    await cp(path.join(SAMPLE, 'edits', name), this.folder, { recursive: true });
    console.log(`$ cp edits/${name}/* .`);
  }

  /**
   * Runs a command, and prints only the lines that match `says`, because TypeORM also prints all SQL.
   *
   * @throws Complaint if the exit code or the output is not as expected
   */
  async run(command: string, { exitCode: expected = 0, says }: Expected): Promise<void> {
    console.log(`$ npx ${command}`);
    const { exitCode, output } = await this.execute(command);
    const lines = output.split('\n').filter((line) => says.test(line));
    lines.forEach((line) => console.log(`    ${line}`));
    console.log(`    exit code ${exitCode}`);
    if (exitCode !== expected || !says.test(output)) {
      throw new Complaint(
        `Expected exit code ${expected} and ${String(says)}. The whole output:\n${output}`,
      );
    }
  }

  /** @throws Complaint if the view has other columns */
  async showView(columns: readonly string[]): Promise<void> {
    const rows = await this.query(
      'SELECT to_jsonb(v) AS row FROM sample_migrations.daily_revenue v ORDER BY day',
    );
    const found = rows.map(({ row }) => row as object);
    console.log('$ select * from daily_revenue');
    found.forEach((row) => console.log(`    ${JSON.stringify(row)}`));
    const [first = {}] = found;
    if (!isDeepStrictEqual(Object.keys(first).sort(), [...columns].sort())) {
      throw new Complaint(`Expected rows with ${columns.join(', ')}.`);
    }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  private execute(command: string): Promise<{ exitCode: number; output: string }> {
    const [program = '', ...args] = command.split(' ');
    return new Promise((resolve, reject) => {
      const child = execFile(
        process.execPath,
        [PROGRAMS[program] ?? program, ...args],
        {
          cwd: this.folder,
          env: { ...process.env, DATABASE_URL: this.databaseUrl, NODE_OPTIONS: LOADER },
        },
        (_error, stdout, stderr) =>
          resolve({ exitCode: child.exitCode ?? NaN, output: `${stderr}${stdout}` }),
      );
      child.once('error', reject);
    });
  }

  private async query(text: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.databaseUrl });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }
}

/** Replaces `npm install`: links to the packages of this repository. */
async function install(folder: string): Promise<void> {
  const packages = {
    'nestjs-materialized-views': REPOSITORY,
    typeorm: path.join(REPOSITORY, 'node_modules', 'typeorm'),
    '@swc-node/register': path.join(REPOSITORY, 'node_modules', '@swc-node', 'register'),
  };
  for (const [name, target] of Object.entries(packages)) {
    const link = path.join(folder, 'node_modules', name);
    await mkdir(path.dirname(link), { recursive: true });
    await symlink(target, link, 'junction');
  }
}
