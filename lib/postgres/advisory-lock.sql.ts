import { epochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * Transaction-scoped locks only: through a pooler in transaction mode a session lock is shared with
 * whoever gets the same server connection next, and outlives both.
 */

export interface TryLockRow {
  acquired: boolean;
  /** Milliseconds since the epoch. */
  now: number;
}

export function tryLock(key: string): SqlStatement {
  return {
    text: `SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint) AS acquired,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now`,
    values: [key],
  };
}

/** Waits for the lock, for as long as the transaction's `lock_timeout` allows (55P03 after that). */
export function lock(key: string): SqlStatement {
  return { text: 'SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)', values: [key] };
}

/** What pg_locks has of a lock that a backend holds: $1 is its key, $2 the backend. */
const HELD_BY_BACKEND = `pg_catalog.pg_locks l
WHERE l.locktype = 'advisory'
  AND l.granted
  AND l.pid = $2
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = $1::bigint`;

/**
 * Cancels the statement of a backend, if that backend holds the lock now: never by the process id
 * alone, which may serve another client by the time this runs.
 */
export function cancelLockHolder(key: string, backendPid: number): SqlStatement {
  return {
    text: `SELECT pg_catalog.pg_cancel_backend(l.pid) AS cancelled
FROM ${HELD_BY_BACKEND}`,
    values: [key, backendPid],
  };
}

/** A row when the backend holds the lock; none when its transaction has ended. */
export function selectLockHeldBy(key: string, backendPid: number): SqlStatement {
  return {
    text: `SELECT l.pid
FROM ${HELD_BY_BACKEND}`,
    values: [key, backendPid],
  };
}
