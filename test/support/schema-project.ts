import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { requireBuild } from './build.js';

/** Options of `defineMaterializedView`. */
export interface ProjectView {
  name: string;
  expression: string;
  columns: string[];
  [option: string]: unknown;
}

export interface CommandEnd {
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

interface Execution {
  stdin: 'ignore' | 'pipe';
  onOutput?: (child: ChildProcess, output: { stdout: string }) => void;
}

const BIN = path.resolve('dist/esm/cli/bin.js');

/** The URLs from which project files import. */
export const LIBRARY_URL = pathToFileURL(path.resolve('dist/esm/index.js')).href;
export const TYPEORM_URL = pathToFileURL(createRequire(import.meta.url).resolve('typeorm')).href;

/** A folder with a JavaScript data source, for running the built command. */
export class SchemaProject {
  static async create(databaseUrl: string): Promise<SchemaProject> {
    requireBuild();
    return new SchemaProject(await mkdtemp(path.join(tmpdir(), 'matviews-')), databaseUrl);
  }

  private constructor(
    readonly folder: string,
    private readonly databaseUrl: string,
  ) {}

  /** Writes the next release of the project. */
  async declare(views: ProjectView[], matviews: object = {}): Promise<void> {
    await this.write(
      'package.json',
      JSON.stringify({ type: 'module', matviews: { dataSource: 'data-source.js', ...matviews } }),
    );
    await this.write(
      'data-source.js',
      `import typeorm from ${JSON.stringify(TYPEORM_URL)};
import { defineMaterializedView } from ${JSON.stringify(LIBRARY_URL)};
export default new typeorm.DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  entities: ${JSON.stringify(views)}.map((view) => defineMaterializedView(view)),
});
`,
    );
  }

  async write(file: string, text: string): Promise<void> {
    await writeFile(path.join(this.folder, file), text);
  }

  /** Runs a command without a terminal. */
  async run(...args: string[]): Promise<CommandEnd> {
    return this.execute(process.execPath, [BIN, ...args], { stdin: 'ignore' });
  }

  /** Runs a shell line that calls `matviews` by its name. */
  async runLine(line: string): Promise<CommandEnd> {
    const script = `matviews() { '${process.execPath}' '${BIN}' "$@"; }\n${line}`;
    return this.execute('sh', ['-c', script], { stdin: 'ignore' });
  }

  /** Runs a command in a terminal, and types the keys when it prompts. `stdout` has all its output. */
  async runInTerminal(keys: string, ...args: string[]): Promise<CommandEnd> {
    const command = [process.execPath, BIN, ...args].map((each) => `'${each}'`).join(' ');
    return this.execute('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      stdin: 'pipe',
      onOutput: (child, { stdout }) => {
        if (stdout.includes('[y/N] ') && child.stdin?.writableEnded === false) {
          child.stdin.end(keys);
        }
      },
    });
  }

  private async execute(
    program: string,
    args: string[],
    { stdin, onOutput }: Execution,
  ): Promise<CommandEnd> {
    const child = spawn(program, args, {
      cwd: this.folder,
      env: { ...process.env, NODE_OPTIONS: '', DATABASE_URL: this.databaseUrl },
      stdio: [stdin, 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    child.stdout?.on('data', (data: Buffer) => {
      output.stdout += data.toString();
      onOutput?.(child, output);
    });
    child.stderr?.on('data', (data: Buffer) => (output.stderr += data.toString()));
    const exitCode = await new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    return { exitCode, ...output };
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
