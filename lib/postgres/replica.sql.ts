import type { SqlStatement } from './sql-statement.js';

/**
 * The position up to which anything is written, as SQL. All that the statement sees as committed is below it, flushed or not.
 * `NULL` on a standby, and if none is connected: Aurora, whose readers replay nothing, refuses to return it.
 */
export const SEEN_POSITION = `(
         SELECT CASE
           WHEN NOT pg_catalog.pg_is_in_recovery() AND EXISTS (
             SELECT FROM pg_catalog.pg_stat_get_wal_senders() r WHERE r.state IS DISTINCT FROM 'backup'
           )
           THEN pg_catalog.pg_current_wal_insert_lsn()::text
         END
       )`;

export interface WalPositionRow {
  /** As PostgreSQL writes a `pg_lsn`: `16/B374D848`; `null` where no standby is connected. */
  lsn: string | null;
}

export function selectWalPosition(): SqlStatement {
  return { text: `SELECT ${SEEN_POSITION} AS lsn` };
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
