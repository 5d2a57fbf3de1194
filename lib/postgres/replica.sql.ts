import type { SqlStatement } from './sql-statement.js';

export interface WalPositionRow {
  /** As PostgreSQL writes a `pg_lsn`: `16/B374D848`. */
  lsn: string;
}

/** The position up to which anything is written. Whatever was committed before is below it, flushed or not. */
export function selectWalPosition(): SqlStatement {
  return { text: 'SELECT pg_catalog.pg_current_wal_insert_lsn()::text AS lsn' };
}

export interface ReplicaRow {
  /** `null` if the role may not see it, like `state`. */
  name: string | null;
  /** Whether its readers see everything that was committed before the position. */
  has_replayed: boolean;
}

/** The standbys connected to this server, and whether they have replayed the WAL up to a position. */
export function selectReplicas(lsn: string): SqlStatement {
  return {
    text: `SELECT r.application_name AS name,
       coalesce(r.replay_lsn >= $1::pg_lsn, false) AS has_replayed
FROM pg_catalog.pg_stat_replication r
WHERE r.state IS DISTINCT FROM 'backup'`,
    values: [lsn],
  };
}
