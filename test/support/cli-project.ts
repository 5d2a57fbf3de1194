import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { requireBuild } from './build.js';

/** Language and module system of a user's project. */
export type ProjectKind = 'typescript-esm' | 'typescript-cjs' | 'javascript-esm' | 'javascript-cjs';

export interface CliRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliProjectOptions {
  databaseUrl: string;
  /** Packages in addition to the library and TypeORM. @default a TypeScript loader, if the project needs one */
  packages?: string[];
  /** `package.json#matviews`. @default names the data source file */
  matviews?: object;
  /** Environment variables for each process that it starts. */
  env?: NodeJS.ProcessEnv;
}

const BIN = path.resolve('dist/esm/cli/bin.js');

/** A project on disk that uses the repository's packages through symlinks. */
export class CliProject {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'matviews-'));
  readonly dataSourceFile: string;

  constructor(
    kind: ProjectKind,
    private readonly options: CliProjectOptions,
  ) {
    requireBuild();
    const isTypeScript = kind.startsWith('typescript');
    this.dataSourceFile = `data-source.${isTypeScript ? 'ts' : 'js'}`;
    const { matviews = { dataSource: this.dataSourceFile } } = options;
    const type = kind.endsWith('esm') ? 'module' : 'commonjs';
    this.write('package.json', JSON.stringify({ type, matviews }));
    this.write(
      'tsconfig.json',
      JSON.stringify({ compilerOptions: compilerOptions(kind.endsWith('esm')) }),
    );
    this.write(this.dataSourceFile, isTypeScript ? TYPESCRIPT : javaScript(type));
    const loader = isTypeScript ? ['@swc-node/register'] : [];
    this.link('nestjs-materialized-views', path.resolve('.'));
    for (const name of ['typeorm', 'typescript', ...(options.packages ?? loader)]) {
      this.link(name, path.resolve('node_modules', name));
    }
  }

  /** Runs `matviews` and waits for it to exit. */
  async run(...args: string[]): Promise<CliRun> {
    const child = this.start(process.execPath, [BIN, ...args]);
    const run: CliRun = { code: null, stdout: '', stderr: '' };
    child.stdout?.on('data', (chunk: Buffer) => (run.stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => (run.stderr += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    return { ...run, code };
  }

  /** Starts `matviews` in a terminal (`script`). What you write to the child's stdin is typed there. */
  startInTerminal(...args: string[]): ChildProcess {
    const command = [process.execPath, BIN, ...args].map((each) => `'${each}'`).join(' ');
    return this.start('script', ['--quiet', '--return', '--command', command, '/dev/null']);
  }

  start(command: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    return spawn(command, args, {
      cwd: this.directory,
      env: {
        ...process.env,
        // With CI set, the command would not overwrite lines on a terminal.
        CI: undefined,
        NODE_OPTIONS: '',
        CLI_DATABASE_URL: this.options.databaseUrl,
        ...this.options.env,
        ...env,
      },
    });
  }

  remove(): void {
    rmSync(this.directory, { recursive: true });
  }

  private write(name: string, text: string): void {
    writeFileSync(path.join(this.directory, name), text);
  }

  private link(name: string, target: string): void {
    const link = path.join(this.directory, 'node_modules', name);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(target, link);
  }
}

function compilerOptions(isEsm: boolean): object {
  const module = isEsm ? 'nodenext' : 'commonjs';
  return {
    target: 'es2022',
    module,
    moduleResolution: isEsm ? 'nodenext' : 'bundler',
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    useDefineForClassFields: false,
  };
}

const TOTALS = `{
  name: 'totals',
  expression: 'SELECT 1 AS id, count(*)::int AS total FROM orders WHERE public.gate()',
  refresh: { cron: '0 3 * * *' },
}`;

const SUMMARY = `{ name: 'summary', expression: 'SELECT sum(total) AS sum FROM totals' }`;

const SOURCE = `{
  type: 'postgres',
  url: process.env.CLI_DATABASE_URL,
  entities: [Totals, Summary],
  synchronize: true,
  logging: true,
}`;

const TYPESCRIPT = `import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { DataSource, Index, ViewColumn } from 'typeorm';

console.log('a line of the data source file');

@MaterializedViewEntity(${TOTALS})
@Index('totals_id', ['id'], { unique: true })
export class Totals {
  @ViewColumn() id!: number;
  @ViewColumn() total!: number;
}

@MaterializedViewEntity(${SUMMARY})
export class Summary {
  @ViewColumn() sum!: number;
}

export const dataSource = new DataSource(${SOURCE});
`;

const JAVASCRIPT = `
class Totals {}
ViewColumn()(Totals.prototype, 'id');
ViewColumn()(Totals.prototype, 'total');
Index('totals_id', ['id'], { unique: true })(Totals);
MaterializedViewEntity(${TOTALS})(Totals);

class Summary {}
ViewColumn()(Summary.prototype, 'sum');
MaterializedViewEntity(${SUMMARY})(Summary);
`;

/** The ESM file exports a promise of the data source, the CommonJS file the data source itself. */
function javaScript(type: string): string {
  return type === 'module'
    ? `import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { DataSource, Index, ViewColumn } from 'typeorm';
${JAVASCRIPT}
export default Promise.resolve(new DataSource(${SOURCE}));
`
    : `const { MaterializedViewEntity } = require('nestjs-materialized-views');
const { DataSource, Index, ViewColumn } = require('typeorm');
${JAVASCRIPT}
module.exports = new DataSource(${SOURCE});
`;
}
