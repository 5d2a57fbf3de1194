import { epochMs } from './instant.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * Transaction-scoped locks only: through a pooler in transaction mode a session lock is shared with
 * whoever gets the same server connection next, and outlives both.
 */

export interface TryLockRow {
  acquired: boolean;
}

export function tryLock(key: string): SqlStatement {
  return {
    text: 'SELECT pg_catalog.pg_try_advisory_xact_lock($1::bigint) AS acquired',
    values: [key],
  };
}

/** Waits for the lock, for as long as the transaction's `lock_timeout` allows (55P03 after that). */
export function lock(key: string): SqlStatement {
  return { text: 'SELECT pg_catalog.pg_advisory_xact_lock($1::bigint)', values: [key] };
}

/** Whether `l`, a row of pg_locks, is about the lock with the key. */
const isLock = (key: string): string => `l.locktype = 'advisory'
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.objsubid = 1
  AND ((l.classid::bigint << 32) | l.objid::bigint) = ${key}::bigint`;

/** `lock` with the answer of `tryLock`. */
export function lockInTime(key: string): SqlStatement {
  return {
    text: `SELECT true AS acquired
FROM pg_catalog.pg_advisory_xact_lock($1::bigint)`,
    values: [key],
  };
}

/** What pg_locks has of a lock that a backend holds: $1 is its key, $2 the backend. */
const HELD_BY_BACKEND = `pg_catalog.pg_locks l
WHERE ${isLock('$1')}
  AND l.granted
  AND l.pid = $2`;

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

export interface RunningRow {
  key: string;
  backend_pid: number;
  application_name: string;
  /** Milliseconds since the epoch: when the transaction of the refresh began. */
  started_at: number | null;
}

/** Who holds which of the given locks now, but for those whose transaction holds `exceptKey` too. */
export function selectLockHolders(keys: string[], exceptKey: string): SqlStatement {
  return {
    text: `SELECT wanted.key,
       l.pid AS backend_pid,
       a.application_name,
       ${epochMs('a.xact_start')} AS started_at
FROM pg_catalog.unnest($1::text[]) AS wanted(key)
JOIN pg_catalog.pg_locks l ON ${isLock('wanted.key')} AND l.granted
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.pid NOT IN (SELECT l.pid FROM pg_catalog.pg_locks l WHERE ${isLock('$2')} AND l.granted)`,
    values: [keys, exceptKey],
  };
}

export interface CancelledRow {
  backend_pid: number;
}

/** Cancels the statement of whoever holds the lock now, but for a transaction that holds `exceptKey` too. */
export function cancelLockHolders(key: string, exceptKey: string): SqlStatement {
  return {
    text: `SELECT l.pid AS backend_pid, pg_catalog.pg_cancel_backend(l.pid)
FROM pg_catalog.pg_locks l
WHERE ${isLock('$1')}
  AND l.granted
  AND l.pid NOT IN (SELECT l.pid FROM pg_catalog.pg_locks l WHERE ${isLock('$2')} AND l.granted)`,
    values: [key, exceptKey],
  };
}
