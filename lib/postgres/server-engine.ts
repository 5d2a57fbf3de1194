import type { ServerRow } from './server.sql.js';

/** Engines that speak PostgreSQL's protocol without being plain PostgreSQL. */
export type ServerEngine = 'Citus' | 'YugabyteDB' | 'CockroachDB' | 'Aurora DSQL';

/** The engine of a server, by what it says about itself; `undefined` for PostgreSQL, hosted or not. */
export function serverEngine({
  version,
  has_citus: hasCitus,
  is_dsql: isDsql,
}: Pick<ServerRow, 'version' | 'has_citus' | 'is_dsql'>): ServerEngine | undefined {
  if (version.startsWith('CockroachDB')) {
    return 'CockroachDB';
  }
  if (/-YB-/.test(version)) {
    return 'YugabyteDB';
  }
  if (isDsql) {
    return 'Aurora DSQL';
  }
  return hasCitus ? 'Citus' : undefined;
}
