import type { LockHolderRow } from '../postgres/advisory-lock.sql.js';

/** Who holds an advisory lock of the library. */
export interface LockHolder {
  /** The server process; left out for a prepared transaction, which has none. */
  backendPid?: number;
  /** The name under which a prepared transaction is to be committed or rolled back. */
  preparedTransaction?: string;
  /** The role; left out where it has been dropped. */
  role?: string;
  /** What the connection calls itself (`application_name`); empty where it says nothing. */
  applicationName: string;
  /**
   * When its transaction began, by the database's clock; left out where it has none, or where the role of the library
   * may not see it: that needs to be the same role, or a member of `pg_read_all_stats` (`pg_monitor` is one).
   */
  startedAt?: Date;
  /** Whether it is no refresh or schema change of the library, as far as can be told. */
  isForeign: boolean;
  /** Whether it has held the lock for longer than it may: `statementTimeout` and `lockTimeout` together. */
  isOverdue: boolean;
}

/** What a lock is for. */
export interface LockUse {
  /** Whether whoever holds it rightly locks relations, from its first statements on. */
  locksRelations: boolean;
  /** For how long it may be held, in milliseconds. */
  limitMs: number;
}

/** A refresh locks its view, and a migration what it makes, milliseconds after it has the lock. */
const FIRST_STATEMENTS_MS = 10_000;

/** The library's own transactions are ended by the server when they are idle for 5 s. */
const IDLE_MS = 6_000;

/**
 * What to say of a holder. Pure.
 *
 * @param seenForMs for how long it is known to have the lock, where the server does not say it
 */
export function lockHolder(row: LockHolderRow, use: LockUse, seenForMs = 0): LockHolder {
  // The clock may have gone back since.
  const startedAt =
    row.started_at !== null && row.started_at <= row.now ? row.started_at : undefined;
  const heldForMs = startedAt === undefined ? seenForMs : row.now - startedAt;
  return {
    backendPid: row.backend_pid ?? undefined,
    preparedTransaction: row.prepared_gid ?? undefined,
    role: row.role ?? undefined,
    applicationName: row.application_name ?? '',
    startedAt: startedAt === undefined ? undefined : new Date(startedAt),
    isForeign: isForeign(row, use, heldForMs),
    isOverdue: heldForMs > use.limitMs,
  };
}

/** The library takes its locks exclusively, in a transaction that goes on with its work. */
function isForeign(row: LockHolderRow, { locksRelations }: LockUse, heldForMs: number): boolean {
  if (row.is_shared || row.backend_pid === null || !row.is_in_transaction) {
    return true;
  }
  const isIdle = row.idle_ms !== null && row.idle_ms > IDLE_MS;
  return !row.changes_relations && (isIdle || (locksRelations && heldForMs > FIRST_STATEMENTS_MS));
}

/** Whether a holder needs somebody to act. */
export function isWrong({ isForeign, isOverdue }: LockHolder): boolean {
  return isForeign || isOverdue;
}

/** As in "it is held by ...". */
export function describeHolder(holder: LockHolder): string {
  const { backendPid, preparedTransaction, role = 'unknown', applicationName } = holder;
  const who =
    backendPid === undefined
      ? `prepared transaction ${JSON.stringify(preparedTransaction ?? '')} (role ${JSON.stringify(role)})`
      : `server process ${backendPid} (role ${JSON.stringify(role)}, application ${JSON.stringify(applicationName)})`;
  if (holder.isForeign) {
    return `${who}, which is not a refresh or schema change of this library`;
  }
  return holder.startedAt === undefined
    ? who
    : `${who}, in a transaction since ${holder.startedAt.toISOString()}`;
}

/** How to get rid of it. */
export function releaseHint({ backendPid }: LockHolder): string {
  return backendPid === undefined
    ? 'ROLLBACK PREPARED ends it and frees the lock.'
    : `pg_terminate_backend(${backendPid}) ends that session, which frees the lock.`;
}
