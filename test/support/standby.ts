import { execFile } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { type PostgresServer, startPostgres } from '../../sample/support/postgres-server.js';

const run = promisify(execFile);

/** Starts a hot standby: it waits for a primary that never comes, and takes readers meanwhile. */
export async function startStandby(): Promise<PostgresServer> {
  const server = await startPostgres(process.env.POSTGRES_PACKAGE);
  const { data, bin } = await directories(server.url);
  const { uid, gid } = statSync(data);
  const control = (...command: string[]): Promise<unknown> =>
    run(path.join(bin, 'pg_ctl'), [...command, '-s', '-w', '-D', data], { uid, gid, cwd: data });
  writeFileSync(path.join(data, 'standby.signal'), '');
  await control('restart', '-l', path.join(data, 'standby.log'));
  return {
    url: server.url,
    stop: async () => {
      await control('stop', '-m', 'immediate');
      await server.stop();
    },
  };
}

async function directories(url: string): Promise<{ data: string; bin: string }> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query<{ data: string; bin: string }>(
    `SELECT current_setting('data_directory') AS data,
            (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS bin`,
  );
  await client.end();
  return rows[0] ?? { data: '', bin: '' };
}
