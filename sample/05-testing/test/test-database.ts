import { Client } from 'pg';

/** Jest runs spec files in parallel, in numbered workers. */
const NAME = `shop_test_${process.env.JEST_WORKER_ID ?? '1'}`;

/**
 * Creates an empty database on the server of DATABASE_URL, and points DATABASE_URL to it.
 *
 * @returns a function that drops the database
 */
export async function provideTestDatabase(): Promise<() => Promise<void>> {
  // Without DATABASE_URL, the tests of this repository start a server and set TEST_SERVER_URL.
  const server = process.env.DATABASE_URL ?? process.env.TEST_SERVER_URL ?? '';
  const drop = (): Promise<void> => run(server, `DROP DATABASE IF EXISTS ${NAME} WITH (FORCE)`);
  await drop();
  await run(server, `CREATE DATABASE ${NAME}`);
  const url = new URL(server);
  url.pathname = `/${NAME}`;
  process.env.DATABASE_URL = url.href;
  return drop;
}

async function run(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
