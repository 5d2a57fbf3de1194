import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier, type QueryResultRow } from 'pg';

const GATE_KEY = 4_711;

/** The advisory locks of the current database, as a FROM item. pg_locks lists those of the whole server. */
export const ADVISORY_LOCKS = `(
  SELECT l.* FROM pg_locks l JOIN pg_database d ON d.oid = l.database
  WHERE d.datname = current_database() AND l.locktype = 'advisory'
) AS locks`;

export interface ClosedGate {
  /** Resolves when at least `count` queries wait at the gate. @default 1 */
  untilReached(count?: number): Promise<void>;
  open(): Promise<void>;
}

/** A test file's own database. */
export class TestDatabase {
  /**
   * @param serverUrl the test's own server, if it doesn't use the shared one
   * @param name for a test that needs a certain name, for example because of a server setting
   */
  static async create(
    serverUrl = process.env.TEST_SERVER_URL ?? '',
    name = `test_${randomBytes(6).toString('hex')}`,
  ): Promise<TestDatabase> {
    await runOn(serverUrl, async (client) => {
      await client.query(
        `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0 ${await byCopyingFiles(client)}`,
      );
    });
    const [directUrl, url] = [serverUrl, poolerOf(serverUrl)].map((server) =>
      databaseUrl(server, name),
    ) as [string, string];
    const database = new TestDatabase(serverUrl, name, url, directUrl);
    await database.ownClient.connect();
    return database;
  }

  private ownClient: Client;
  private lost: Promise<unknown>;

  private constructor(
    private readonly serverUrl: string,
    readonly name: string,
    /** For the application. If the tests run behind a pooler, the pooler's URL. */
    readonly url: string,
    /** For the test itself, whose sessions hold locks across transactions. */
    readonly directUrl: string,
  ) {
    this.ownClient = clientOf(directUrl);
    this.lost = endOf(this.ownClient);
  }

  /** The test's own session. */
  get client(): Client {
    return this.ownClient;
  }

  /** Waits until the server has ended the test's own session, then opens a new one. */
  async reconnect(): Promise<void> {
    await this.lost;
    for (;;) {
      this.ownClient = clientOf(this.directUrl);
      this.lost = endOf(this.ownClient);
      try {
        await this.ownClient.connect();
        return;
      } catch {
        await this.ownClient.end().catch(() => undefined);
      }
    }
  }

  async query<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<Row[]> {
    return (await this.ownClient.query<Row>(text, values)).rows;
  }

  /** Opens another session, for example to hold locks. */
  async session(): Promise<Client> {
    const client = clientOf(this.directUrl);
    await client.connect();
    return client;
  }

  /** Repeats the query until it returns at least one row. Only the test's timeout limits the wait. */
  async until<Row extends QueryResultRow = QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<Row[]> {
    for (;;) {
      const rows = await this.query<Row>(text, values);
      if (rows.length > 0) {
        return rows;
      }
      await this.query('SELECT pg_sleep(0.01)');
    }
  }

  /**
   * Creates the function `public.gate()`, which waits while the gate is closed. A view that calls it in its query lets a test
   * hold up a refresh.
   */
  async createGate(): Promise<void> {
    await this.query(`CREATE FUNCTION public.gate() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock_shared(${GATE_KEY});
  RETURN true;
END $$`);
  }

  async closeGate(): Promise<ClosedGate> {
    const holder = await this.session();
    await holder.query(`SELECT pg_advisory_lock(${GATE_KEY})`);
    return {
      untilReached: async (count = 1) => {
        await this.until(
          `SELECT FROM ${ADVISORY_LOCKS} WHERE objid = ${GATE_KEY} AND NOT granted HAVING count(*) >= $1`,
          [count],
        );
      },
      open: () => holder.end(),
    };
  }

  async drop(): Promise<void> {
    await this.ownClient.end();
    await runOn(this.serverUrl, (client) =>
      client.query(`DROP DATABASE ${escapeIdentifier(this.name)} WITH (FORCE)`),
    );
  }
}

/** Only the shared server has a pooler. */
function poolerOf(serverUrl: string): string {
  const { TEST_POOLER_URL, TEST_SERVER_URL } = process.env;
  return serverUrl === TEST_SERVER_URL ? (TEST_POOLER_URL ?? serverUrl) : serverUrl;
}

function endOf(client: Client): Promise<void> {
  return new Promise((resolve) => client.once('end', resolve));
}

/** A session that the server may end without failing the test. */
function clientOf(connectionString: string): Client {
  const client = new Client({ connectionString });
  client.on('error', () => undefined);
  return client;
}

function databaseUrl(serverUrl: string, name: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  return url.href;
}

/** Copying files takes a third of the time on a server without fsync. Before version 15, it is the only strategy. */
async function byCopyingFiles(client: Client): Promise<string> {
  const { rows } = await client.query<{ version: number }>(
    `SELECT current_setting('server_version_num')::int AS version`,
  );
  return (rows[0]?.version ?? 0) >= 150_000 ? 'STRATEGY FILE_COPY' : '';
}

async function runOn(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await work(client);
  } finally {
    await client.end();
  }
}
