import { existsSync } from 'node:fs';
import { type PostgresServer, startPostgres } from '../../sample/support/postgres-server.js';

const POSTGRES = '/usr/lib/postgresql/15';

/** What Debian's package `postgresql-15-cron` brings. Without it the specs of pg_cron are skipped. */
export const HAS_PG_CRON = existsSync(`${POSTGRES}/lib/pg_cron.so`);

/** The one database of the server in which pg_cron lives. */
export const CRON_DATABASE = 'cron "database"';

/** Starts a server with pg_cron loaded, and its extension nowhere yet. */
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
