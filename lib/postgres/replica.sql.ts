import type { SqlStatement } from './sql-statement.js';

export interface WalPositionRow {
  /** As PostgreSQL writes a `pg_lsn`: `16/B374D848`. */
  lsn: string;
}

/** Up to where anything is written: what was committed before is behind it, whether it is flushed already or not. */
export function selectWalPosition(): SqlStatement {
  return { text: 'SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn' };
}

export interface ReplicaRow {
  /** `null` for a role that may not see it, as `state` is. */
  name: string | null;
  /** Whether readers there see all that was committed before the position. */
  has_replayed: boolean;
}

/** The standbys that are connected to this server, and whether they have replayed it as far as to a position. */
export function selectReplicas(lsn: string): SqlStatement {
  return {
    text: `SELECT r.application_name AS name,
       coalesce(r.replay_lsn >= $1::pg_lsn, false) AS has_replayed
FROM pg_catalog.pg_stat_replication r
WHERE r.state IS DISTINCT FROM 'backup'`,
    values: [lsn],
  };
}
