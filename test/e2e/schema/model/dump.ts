import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { TestDatabase } from '../../../support/test-database.js';

const run = promisify(execFile);

/** Where Debian puts the programs of each version, and those of the PATH. */
function candidates(): string[] {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian) : [];
  return [...versions.map((version) => path.join(debian, version, 'bin')), ''];
}

function majorOf(program: string): number {
  try {
    const said = execFileSync(program, ['--version'], { encoding: 'utf8' });
    return Number(/(\d+)[.\w]*/.exec(said)?.[1] ?? 0);
  } catch {
    return 0;
  }
}

/** Dumps a database and restores it as another one. */
export class Dump {
  /** @returns `undefined` where there is no pg_dump that can read the server: it must not be older */
  static async find(database: TestDatabase): Promise<Dump | undefined> {
    const [server] = await database.query<{ major: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS major`,
    );
    const directory = candidates().find(
      (each) => majorOf(path.join(each, 'pg_dump')) >= (server?.major ?? 0),
    );
    return directory === undefined ? undefined : new Dump(directory);
  }

  private constructor(private readonly directory: string) {}

  async restored(database: TestDatabase): Promise<TestDatabase> {
    const directory = mkdtempSync(path.join(tmpdir(), 'dump-'));
    const file = path.join(directory, 'database');
    const copy = await TestDatabase.create();
    try {
      await run(path.join(this.directory, 'pg_dump'), [
        '--format=custom',
        `--file=${file}`,
        database.directUrl,
      ]);
      await run(path.join(this.directory, 'pg_restore'), [
        '--exit-on-error',
        // Whether the dump has a schema `public` depends on who owns it.
        '--clean',
        '--if-exists',
        `--dbname=${copy.directUrl}`,
        file,
      ]);
      return copy;
    } catch (error) {
      await copy.drop();
      throw error;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
}
