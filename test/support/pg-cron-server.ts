import { existsSync } from 'node:fs';
import { type PostgresServer, startPostgres } from '../../sample/support/postgres-server.js';

const POSTGRES = '/usr/lib/postgresql/15';

/** Whether Debian's package `postgresql-15-cron` is installed. Without it, the pg_cron specs are skipped. */
export const HAS_PG_CRON = existsSync(`${POSTGRES}/lib/pg_cron.so`);

/** The server's only database in which pg_cron can be installed. */
export const CRON_DATABASE = 'cron "database"';

/** Starts a server with pg_cron loaded, but without its extension in any database. */
export function startPgCronServer(
  settings: Record<string, string | number> = {},
): Promise<PostgresServer> {
  return startPostgres(POSTGRES, {
    settings: {
      shared_preload_libraries: 'pg_cron',
      'cron.database_name': CRON_DATABASE,
      ...settings,
    },
  });
}
