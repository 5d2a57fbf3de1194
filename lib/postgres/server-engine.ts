import type { ServerRow } from './server.sql.js';

/** What speaks PostgreSQL's protocol without being PostgreSQL alone. */
export type ServerEngine = 'Citus' | 'YugabyteDB' | 'CockroachDB' | 'Aurora DSQL';

/** Which one a server is, by what it says of itself; `undefined` for PostgreSQL, also where somebody else runs it. */
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
