import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Client } from 'pg';
import { freePort, serverUser } from '../../sample/support/postgres-server.js';

const PLACES = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'];

export interface PgBouncerOptions {
  /** Server connections per database and role. @default 20 */
  poolSize?: number;
  /** @default 'transaction' */
  poolMode?: 'transaction' | 'statement';
}

/** A PgBouncer in front of a server, for all of its databases. */
export class PgBouncer {
  static async before(serverUrl: string, options: PgBouncerOptions = {}): Promise<PgBouncer> {
    const directory = mkdtempSync(path.join(tmpdir(), 'pgbouncer-'));
    chmodSync(directory, 0o755);
    const port = await freePort();
    writeFileSync(path.join(directory, 'pgbouncer.ini'), settings(serverUrl, port, options));
    const bouncer = new PgBouncer(directory, new URL(serverUrl), port);
    await bouncer.start();
    return bouncer;
  }

  private process?: ChildProcess;

  private constructor(
    private readonly directory: string,
    private readonly server: URL,
    private readonly port: number,
  ) {}

  /** The URL of one of the server's databases, through PgBouncer. */
  urlOf(serverUrl: string): string {
    const url = new URL(serverUrl);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.href;
  }

  async start(): Promise<void> {
    const child = spawn(binary(), [path.join(this.directory, 'pgbouncer.ini')], {
      // Like PostgreSQL, PgBouncer refuses to run as root.
      ...serverUser(),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process = child;
    process.once('exit', () => child.kill('SIGKILL'));
    let log = '';
    await new Promise<void>((resolve, reject) => {
      child.stderr.on('data', (chunk: Buffer) => {
        log = (log + chunk.toString()).slice(-4_000);
        if (log.includes('process up')) {
          resolve();
        }
      });
      child.once('error', reject);
      child.once('exit', () => reject(new Error(`PgBouncer did not start:\n${log}`)));
    });
  }

  /** Runs a command such as PAUSE on PgBouncer's admin console. */
  async command(text: string): Promise<void> {
    const url = new URL(this.urlOf(this.server.href));
    url.pathname = '/pgbouncer';
    const client = new Client({ connectionString: url.href });
    await client.connect();
    try {
      await client.query(text);
    } finally {
      await client.end();
    }
  }

  /** Kills the process, and with it all client connections. */
  async kill(): Promise<void> {
    const child = this.process;
    if (child?.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    }
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function binary(): string {
  const found = PLACES.find((place) => {
    try {
      accessSync(place);
      return true;
    } catch {
      return false;
    }
  });
  if (found === undefined) {
    throw new Error(
      `PgBouncer is needed here, and is at none of ${PLACES.join(', ')}. On Debian and Ubuntu: apt-get install pgbouncer.`,
    );
  }
  return found;
}

function settings(
  serverUrl: string,
  port: number,
  { poolSize = 20, poolMode = 'transaction' }: PgBouncerOptions,
): string {
  const server = new URL(serverUrl);
  return `[databases]
* = host=${server.hostname} port=${server.port || '5432'} auth_user=${server.username}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_query = SELECT rolname, '' FROM pg_catalog.pg_roles WHERE rolname = $1
admin_users = ${server.username}
auth_file = /dev/null
pool_mode = ${poolMode}
default_pool_size = ${poolSize}
max_client_conn = 1000
max_db_connections = 0
server_idle_timeout = 5
server_login_retry = 1
`;
}
