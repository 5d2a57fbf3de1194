import type { SqlStatement } from './sql-statement.js';

/** The version number, as in 160004. */
export const SERVER_VERSION = "pg_catalog.current_setting('server_version_num')::int";

/**
 * The privilege to ask `pg_has_role` about, to know whether a role may act as another one (SET ROLE).
 */
export const RIGHT_TO_ACT = `CASE WHEN ${SERVER_VERSION} >= 160000 THEN 'SET' ELSE 'MEMBER' END`;

export interface ServerRow {
  current_schema: string | null;
  has_transaction_timeout: boolean;
  /** Whether plain views have `security_invoker` (PostgreSQL 15+). */
  has_security_invoker: boolean;
  /** In milliseconds; 0 for none, `null` before PostgreSQL 14. */
  idle_session_timeout: string | null;
  /** As the server describes itself. */
  version: string;
  has_citus: boolean;
  /** Whether it has a catalog that only Aurora DSQL has. */
  is_dsql: boolean;
}

export function selectServer(): SqlStatement {
  return {
    text: `SELECT pg_catalog.current_schema() AS current_schema,
       pg_catalog.current_setting('transaction_timeout', true) IS NOT NULL AS has_transaction_timeout,
       ${SERVER_VERSION} OPERATOR(pg_catalog.>=) 150000 AS has_security_invoker,
       (
         SELECT s.setting
         FROM pg_catalog.pg_settings s
         WHERE s.name OPERATOR(pg_catalog.=) 'idle_session_timeout'::pg_catalog.text
       ) AS idle_session_timeout,
       pg_catalog.version() AS version,
       EXISTS (
         SELECT FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'citus'::pg_catalog.name
       ) AS has_citus,
       pg_catalog.to_regclass('sys.iam_pg_role_mappings') IS NOT NULL AS is_dsql`,
  };
}

export interface StandbyRow {
  is_standby: boolean;
}

/** Whether the server replays another server's changes. It can be promoted at any time. */
export function selectStandby(): SqlStatement {
  return { text: 'SELECT pg_catalog.pg_is_in_recovery() AS is_standby' };
}

export interface StandbysRow {
  has_standbys: boolean;
}

/** Whether standbys replay what this server writes. Reading their names needs pg_monitor; reading whether there are any does not. */
export function selectStandbys(): SqlStatement {
  return {
    text: `SELECT EXISTS (
  SELECT
  FROM pg_catalog.pg_stat_replication r
  WHERE r.state IS DISTINCT FROM 'backup'
) AS has_standbys`,
  };
}

/** Fails with 42704 before PostgreSQL 14, and with 22023 if the platform can't do it. */
export function tryConnectionCheck(): SqlStatement {
  return { text: "BEGIN;\nSET LOCAL client_connection_check_interval = '1s'", isScript: true };
}
