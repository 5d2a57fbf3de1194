import { startPostgres } from '../../sample/support/postgres-server.js';
import { TestDatabase } from '../support/test-database.js';

/** Runs `work` in a new database, on DATABASE_URL or on a server that it starts. */
export async function withDatabase<T>(work: (database: TestDatabase) => Promise<T>): Promise<T> {
  const server = process.env.DATABASE_URL
    ? undefined
    : await startPostgres(process.env.POSTGRES_PACKAGE, { settings: { max_connections: 1_000 } });
  process.env.TEST_SERVER_URL = server?.url ?? process.env.DATABASE_URL;
  try {
    const database = await TestDatabase.create();
    try {
      return await work(database);
    } finally {
      await database.drop();
    }
  } finally {
    await server?.stop();
  }
}

/** The server's version and the settings that affect the numbers. */
export async function serverFacts(database: TestDatabase): Promise<Record<string, string>> {
  const [server] = await database.query<{ version: string; fsync: string }>(
    `SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync`,
  );
  return { PostgreSQL: `${server?.version}, fsync ${server?.fsync}` };
}
