import type { LockHolderRow } from '../postgres/advisory-lock.sql.js';

/** The holder of an advisory lock of the library. */
export interface LockHolder {
  /** The server process; left out for a prepared transaction, which has none. */
  backendPid?: number;
  /** The name for committing or rolling back a prepared transaction. */
  preparedTransaction?: string;
  /** The role; left out if it was dropped. */
  role?: string;
  /** The connection's `application_name`; empty if it has none. */
  applicationName: string;
  /**
   * When its transaction began, by the database's clock; left out if it has none, or if the library's role may not
   * see it. To see it, the role must be the same or a member of `pg_read_all_stats`, as `pg_monitor` is.
   */
  startedAt?: Date;
  /** Whether it is not a refresh or schema change of the library, as far as can be told. */
  isForeign: boolean;
  /** Whether it has held the lock for longer than it may: `statementTimeout` and `lockTimeout` together. */
  isOverdue: boolean;
}

/** What a lock is for. */
export interface LockUse {
  /** Whether a rightful holder locks relations from its first statements on. */
  locksRelations: boolean;
  /** How long it may be held, in milliseconds. */
  limitMs: number;
}

/**
 * Milliseconds after getting the lock, a refresh locks its view, and a migration locks what it
 * creates.
 */
const FIRST_STATEMENTS_MS = 10_000;

/** The server ends the library's own transactions when they are idle for 5 s. */
const IDLE_MS = 6_000;

/**
 * Describes a holder. Pure.
 *
 * @param seenForMs how long it is known to have the lock, if the server doesn't say
 */
export function lockHolder(row: LockHolderRow, use: LockUse, seenForMs = 0): LockHolder {
  // The clock may have gone back since then.
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

/** The library takes its locks exclusively, in a transaction that then does its work. */
function isForeign(row: LockHolderRow, { locksRelations }: LockUse, heldForMs: number): boolean {
  if (row.is_shared || row.backend_pid === null || !row.is_in_transaction) {
    return true;
  }
  const isIdle = row.idle_ms !== null && row.idle_ms > IDLE_MS;
  return !row.changes_relations && (isIdle || (locksRelations && heldForMs > FIRST_STATEMENTS_MS));
}

/** Whether someone has to act on a holder. */
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
