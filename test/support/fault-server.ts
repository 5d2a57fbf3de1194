import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import {
  freePort,
  type PostgresServer,
  type ServerSettings,
  startPostgres,
} from '../../sample/support/postgres-server.js';

const run = promisify(execFile);

/** `fast` ends all sessions first. `immediate` is a crash: the server recovers when it starts. */
export type StopMode = 'fast' | 'immediate';

interface Directories {
  data: string;
  bin: string;
}

/** A server of the test's own, for faults that would break tests on the shared one. */
export class FaultServer {
  static async start(settings: ServerSettings = {}): Promise<FaultServer> {
    const server = await startPostgres(process.env.POSTGRES_PACKAGE, { settings });
    const found = await directories(server.url);
    const options = readFileSync(path.join(found.data, 'postmaster.opts'), 'utf8').trim();
    return new FaultServer(server, found, options.replace(/^\S+ /, ''));
  }

  private isDown = false;

  private constructor(
    private readonly server: PostgresServer,
    private readonly directories: Directories,
    private readonly serverArguments: string,
  ) {
    process.once('exit', () => this.endAtOnce());
  }

  get url(): string {
    return this.server.url;
  }

  /** Stops the server, so that it refuses connections. */
  async down(mode: StopMode): Promise<void> {
    await this.control('stop', '-m', mode);
    this.isDown = true;
  }

  /** Starts the server again. Resolves when it accepts connections. */
  async up(): Promise<void> {
    await this.control('start', '-l', this.file('again.log'), '-o', this.serverArguments);
    this.isDown = false;
  }

  async restart(mode: StopMode): Promise<void> {
    await this.down(mode);
    await this.up();
  }

  /** Starts a hot standby that replays this server's WAL. This server is restarted for the copy. */
  async startStandby(): Promise<FaultServer> {
    const directory = mkdtempSync(path.join(tmpdir(), 'standby-'));
    chmodSync(directory, 0o755);
    const data = path.join(directory, 'data');
    await this.down('fast');
    await run('cp', ['-a', this.directories.data, data]);
    await this.up();
    const { port } = new URL(this.url);
    const url = new URL(this.url);
    url.port = String(await freePort());
    writeFileSync(path.join(data, 'standby.signal'), '');
    writeFileSync(
      path.join(data, 'postgresql.auto.conf'),
      `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres application_name=standby'\n`,
    );
    const stop = (): Promise<void> =>
      Promise.resolve(rmSync(directory, { recursive: true, force: true }));
    const standby = new FaultServer(
      { url: url.href, stop },
      { ...this.directories, data },
      this.serverArguments
        .replaceAll(this.directories.data, data)
        .replace(`port=${port}`, `port=${url.port}`),
    );
    standby.isDown = true;
    await standby.up();
    return standby;
  }

  /** Restarts it as a hot standby without a primary. It accepts reads only. */
  async becomeStandby(): Promise<void> {
    await this.down('fast');
    writeFileSync(this.file('standby.signal'), '');
    await this.up();
  }

  /** Promotes the standby to a primary. */
  async promote(): Promise<void> {
    await this.control('promote');
    rmSync(this.file('standby.signal'), { force: true });
  }

  /** Stops the server and deletes its data. */
  async stop(): Promise<void> {
    if (!this.isDown) {
      await this.down('immediate');
    }
    await this.server.stop();
  }

  private async control(...command: string[]): Promise<void> {
    const { uid, gid } = statSync(this.directories.data);
    const options = { uid, gid, cwd: this.directories.data };
    await run(this.controlBinary, [...command, '-s', '-w', '-D', this.directories.data], options);
  }

  private endAtOnce(): void {
    if (!this.isDown) {
      const { uid, gid } = statSync(this.directories.data);
      execFileSync(
        this.controlBinary,
        ['stop', '-m', 'immediate', '-s', '-D', this.directories.data],
        { uid, gid },
      );
    }
  }

  private get controlBinary(): string {
    return path.join(this.directories.bin, 'pg_ctl');
  }

  private file(name: string): string {
    return path.join(this.directories.data, name);
  }
}

async function directories(url: string): Promise<Directories> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<Directories>(
    `SELECT current_setting('data_directory') AS data,
            (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS bin`,
  );
  await client.end();
  return rows[0] ?? { data: '', bin: '' };
}
