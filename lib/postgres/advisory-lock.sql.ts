import { escapeLiteral } from 'pg';
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

/** Whether a row of pg_locks is about the lock with the key. */
const isLock = (key: string, row = 'l'): string => `${row}.locktype = 'advisory'
  AND ${row}.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND ${row}.objsubid = 1
  AND ((${row}.classid::bigint << 32) | ${row}.objid::bigint) = ${key}::bigint`;

/**
 * `lock` for the application's own connection. If the lock is not free within the transaction's `lock_timeout`, PostgreSQL's
 * error (55P03) says who holds it. The statement takes no values, so it can be run by hand too.
 *
 * @param subject what has to wait for the lock, as the beginning of a sentence
 */
export function lockOrSayWhose(key: string, subject: string): SqlStatement {
  const body = `
DECLARE
  holders text;
BEGIN
  PERFORM pg_catalog.pg_advisory_xact_lock('${key}');
EXCEPTION WHEN lock_not_available THEN
  SELECT pg_catalog.string_agg(
           CASE
             WHEN l.pid IS NULL THEN 'a prepared transaction'
             ELSE pg_catalog.format('server process %s (role %L, application %L)', l.pid, a.usename, a.application_name)
           END,
           ' and '
         )
  INTO holders
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  WHERE ${isLock(`'${key}'`)} AND l.granted;
  RAISE EXCEPTION USING ERRCODE = 'lock_not_available',
    MESSAGE = ${escapeLiteral(subject)} || ': the lock for that is held by ' || coalesce(holders, 'nobody any more');
END
`;
  return { text: `DO ${escapeLiteral(body)}` };
}

/** `lock` that returns what `tryLock` returns. */
export function lockInTime(key: string): SqlStatement {
  return {
    text: `SELECT true AS acquired
FROM pg_catalog.pg_advisory_xact_lock($1::bigint)`,
    values: [key],
  };
}

/** The row of pg_locks for a lock that a backend holds: $1 is its key, $2 the backend. */
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

/** One row if the backend holds the lock; none if its transaction has ended. */
export function selectLockHeldBy(key: string, backendPid: number): SqlStatement {
  return {
    text: `SELECT l.pid
FROM ${HELD_BY_BACKEND}`,
    values: [key, backendPid],
  };
}

/** Who holds one of the library's locks, as far as the server tells. Times are milliseconds since the epoch. */
export interface LockHolderRow {
  key: string;
  /** `null` for a prepared transaction, which belongs to no process. */
  backend_pid: number | null;
  prepared_gid: string | null;
  role: string | null;
  application_name: string | null;
  now: number;
  /** When its transaction began; `null` if it has none or this role may not see it. */
  started_at: number | null;
  /** How long it has been idle in its transaction; `null` if it is not idle or this role may not see it. */
  idle_ms: number | null;
  is_shared: boolean;
  /** Whether it is in a transaction. If not, it is a session lock. */
  is_in_transaction: boolean;
  /** Whether it has, or waits for, a lock that a refresh or a schema change takes on relations. */
  changes_relations: boolean;
  /** Whether it holds the lock of schema changes too. */
  changes_schema: boolean;
}

/**
 * The relation locks that refreshes and schema changes hold from their first statement on, and readers and writers
 * never hold.
 */
const STRONG_MODES = `'ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'`;

/** Whether the holder of lock `l` is in a transaction. Needs a CTE with all of pg_locks. */
const IS_IN_TRANSACTION = `EXISTS (
         SELECT FROM l AS x WHERE x.pid = l.pid AND x.locktype = 'virtualxid' AND x.mode = 'ExclusiveLock'
       )`;

/**
 * Who holds which of the given locks now. pg_locks is read only once, because it is not a snapshot: two reads may
 * differ.
 */
export function selectLockHolders(keys: string[], schemaKey: string): SqlStatement {
  return {
    text: `WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks)
SELECT wanted.key,
       l.pid AS backend_pid,
       p.gid AS prepared_gid,
       coalesce(a.usename, p.owner)::text AS role,
       a.application_name,
       ${epochMs('pg_catalog.clock_timestamp()')} AS now,
       ${epochMs('coalesce(a.xact_start, p.prepared)')} AS started_at,
       CASE
         WHEN pg_catalog.starts_with(a.state, 'idle in transaction')
         THEN ${epochMs('pg_catalog.clock_timestamp()')} - ${epochMs('a.state_change')}
       END AS idle_ms,
       l.mode = 'ShareLock' AS is_shared,
       a.xact_start IS NOT NULL OR ${IS_IN_TRANSACTION} AS is_in_transaction,
       EXISTS (
         SELECT FROM l AS r WHERE r.pid = l.pid AND r.locktype = 'relation' AND r.mode IN (${STRONG_MODES})
       ) AS changes_relations,
       EXISTS (
         SELECT
         FROM l AS s
         WHERE s.virtualtransaction = l.virtualtransaction AND s.granted AND s.mode = 'ExclusiveLock' AND ${isLock('$2', 's')}
       ) AS changes_schema
FROM pg_catalog.unnest($1::text[]) AS wanted(key)
JOIN l ON ${isLock('wanted.key')} AND l.granted
LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
LEFT JOIN (
  l AS t JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = t.transactionid
) ON l.pid IS NULL
  AND t.pid IS NULL
  AND t.locktype = 'transactionid'
  AND t.virtualtransaction = l.virtualtransaction`,
    values: [keys, schemaKey],
  };
}

export interface CancelledRow {
  backend_pid: number;
}

/**
 * Cancels the refresh or schema change that holds the view's lock now, unless its transaction also holds `exceptKey`.
 * A shared lock, or one held outside a transaction, is not from a refresh or schema change.
 */
export function cancelLockHolders(key: string, exceptKey: string): SqlStatement {
  return {
    text: `WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks)
SELECT l.pid AS backend_pid, pg_catalog.pg_cancel_backend(l.pid)
FROM l
WHERE ${isLock('$1')}
  AND l.granted
  AND l.mode = 'ExclusiveLock'
  AND l.pid IS NOT NULL
  AND ${IS_IN_TRANSACTION}
  AND NOT EXISTS (
    SELECT FROM l AS s WHERE s.pid = l.pid AND s.granted AND ${isLock('$2', 's')}
  )`,
    values: [key, exceptKey],
  };
}
