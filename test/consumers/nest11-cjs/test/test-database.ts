import { randomBytes } from 'node:crypto';
import { Client, escapeIdentifier } from 'pg';

/** A new database on the server of `TEST_SERVER_URL` or `DATABASE_URL`. */
export class TestDatabase {
  static async create(): Promise<TestDatabase> {
    const serverUrl = process.env.TEST_SERVER_URL ?? process.env.DATABASE_URL;
    if (serverUrl === undefined) {
      throw new Error('Set TEST_SERVER_URL, or start this with `npm run test:consumers`.');
    }
    const name = `consumer_${randomBytes(6).toString('hex')}`;
    await runOn(serverUrl, `CREATE DATABASE ${escapeIdentifier(name)} TEMPLATE template0`);
    const url = new URL(serverUrl);
    url.pathname = `/${name}`;
    const database = new TestDatabase(serverUrl, name, url.href);
    await database.client.connect();
    return database;
  }

  /** The test's own session. */
  readonly client: Client;

  private constructor(
    private readonly serverUrl: string,
    private readonly name: string,
    readonly url: string,
  ) {
    this.client = new Client({ connectionString: url });
  }

  async drop(): Promise<void> {
    await this.client.end();
    await runOn(this.serverUrl, `DROP DATABASE ${escapeIdentifier(this.name)} WITH (FORCE)`);
  }
}

async function runOn(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
