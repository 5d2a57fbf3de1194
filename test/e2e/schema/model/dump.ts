import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { TestDatabase } from '../../../support/test-database.js';

const run = promisify(execFile);

/** Where to look for pg_dump: Debian's directory of each version, then the PATH. The npm packages do not contain it. */
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

export interface DumpWay {
  /** `plain` is a script for psql, `custom` an archive for pg_restore. */
  format: 'plain' | 'custom';
  /** Options for pg_dump, and also for pg_restore if the dump is an archive. @default [] */
  options?: readonly string[];
  /** The role that restores and owns the new database; its password is `secret`. @default the role that dumps */
  role?: string;
}

/** The URL that connects to the database as the given role. */
export function urlFor(database: TestDatabase, role: string): string {
  return Object.assign(new URL(database.directUrl), { username: role, password: 'secret' }).href;
}

/** The copy already has a schema `public`, and the dump contains it too, depending on its owner. */
const CLEAN = ['--clean', '--if-exists'];

/** Dumps a database and restores it into a new one. */
export class Dump {
  /** @returns `undefined` if no installed pg_dump can read the server: it must not be older than the server */
  static async find(database: TestDatabase): Promise<Dump | undefined> {
    const [server] = await database.query<{ major: number }>(
      `SELECT current_setting('server_version_num')::int / 10000 AS major`,
    );
    const directory = candidates().find(
      (each) => majorOf(path.join(each, 'pg_dump')) >= (server?.major ?? 0),
    );
    if (directory === undefined) {
      process.stderr.write(
        `There is no pg_dump for PostgreSQL ${server?.major}: nothing is dumped and restored.\n`,
      );
    }
    return directory === undefined ? undefined : new Dump(directory);
  }

  private constructor(private readonly directory: string) {}

  async restored(database: TestDatabase, way: DumpWay): Promise<TestDatabase> {
    const directory = mkdtempSync(path.join(tmpdir(), 'dump-'));
    const file = path.join(directory, 'database');
    const copy = await TestDatabase.create();
    try {
      const { format, options = [] } = way;
      await this.run('pg_dump', [
        `--format=${format}`,
        `--file=${file}`,
        ...(format === 'plain' ? CLEAN : []),
        ...options,
        database.directUrl,
      ]);
      await this.restore(file, copy, way);
      return copy;
    } catch (error) {
      await copy.drop();
      throw error;
    } finally {
      rmSync(directory, { recursive: true });
    }
  }

  private async restore(
    file: string,
    copy: TestDatabase,
    { format, options = [], role }: DumpWay,
  ): Promise<void> {
    const url = role === undefined ? copy.directUrl : await givenTo(role, copy);
    await (format === 'plain'
      ? this.run('psql', ['--no-psqlrc', '--set=ON_ERROR_STOP=1', `--file=${file}`, url])
      : this.run('pg_restore', ['--exit-on-error', ...CLEAN, ...options, `--dbname=${url}`, file]));
  }

  private async run(program: string, args: string[]): Promise<void> {
    await run(path.join(this.directory, program), args);
  }
}

async function givenTo(role: string, copy: TestDatabase): Promise<string> {
  await copy.query(
    `ALTER DATABASE ${copy.name} OWNER TO ${role}; ALTER SCHEMA public OWNER TO ${role}`,
  );
  return urlFor(copy, role);
}
