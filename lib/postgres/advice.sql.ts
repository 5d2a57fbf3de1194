import { quoteIdentifier, quoteQualifiedName, type QualifiedName } from './identifier.js';
import { dropView } from './view-ddl.sql.js';
import type { ViewKind } from './view-kind.js';

/**
 * Statements that are shown to people and never run here. A parameter called `quoted...` is already quoted.
 */
export const ADVICE = {
  uniqueIndex: (view: QualifiedName, columns: readonly string[]) =>
    `CREATE UNIQUE INDEX ON ${quoteQualifiedName(view)} (${columns.map(quoteIdentifier).join(', ')});`,
  reindex: (index: QualifiedName) => `REINDEX INDEX ${quoteQualifiedName(index)};`,
  rollbackPrepared: (transaction: string) =>
    `ROLLBACK PREPARED '${transaction.replaceAll("'", "''")}';`,
  terminate: (backendPid: number) => `SELECT pg_catalog.pg_terminate_backend(${backendPid});`,
  grantMaintain: (quotedView: string, role: string) =>
    `GRANT MAINTAIN ON ${quotedView} TO ${quoteIdentifier(role)};`,
  grantRole: (owner: string, role: string) =>
    `GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(role)};`,
  grantSelect: (quotedRelation: string, role: string) =>
    `GRANT SELECT ON ${quotedRelation} TO ${quoteIdentifier(role)};`,
  grantExecute: (quotedFunction: string, role: string) =>
    `GRANT EXECUTE ON FUNCTION ${quotedFunction} TO ${quoteIdentifier(role)};`,
  bypassRowSecurity: (role: string) => `ALTER ROLE ${quoteIdentifier(role)} BYPASSRLS;`,
  functionPath: (quotedFunction: string, quotedPath: string) =>
    `ALTER FUNCTION ${quotedFunction} SET search_path = ${quotedPath};`,
  dropView: (kind: ViewKind, view: QualifiedName) => `${dropView(kind, view).text};`,
  activateJob: (jobId: string) => `SELECT cron.alter_job(${jobId}, active => true);`,
  jobRuns: (jobId: string) =>
    `SELECT * FROM cron.job_run_details WHERE jobid = ${jobId} ORDER BY runid DESC;`,
  maxConnections: (count: number) => `ALTER SYSTEM SET max_connections = ${count};`,
};
