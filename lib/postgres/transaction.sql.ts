import { applicationSetting, giveBackSettings, takeOwnSettings } from './own-settings.sql.js';
import { script, type SqlStatement } from './sql-statement.js';

/** Limits of one transaction, in milliseconds; 0 means none. */
export interface TransactionLimits {
  lockTimeoutMs: number;
  statementTimeoutMs: number;
  /** Whether nothing is written, so that a standby accepts it too. @default false */
  isReadOnly?: boolean;
  /** How long the application may compute between two statements, if that is longer than usual. @default the usual */
  idleTimeoutMs?: number;
}

/** Which settings exist depends on the server. */
export interface ServerAbilities {
  /**
   * Whether the server can notice that its client is gone (PostgreSQL 14+, depending on the platform).
   */
  canCheckConnection: boolean;
  /** PostgreSQL 17+. */
  hasTransactionTimeout: boolean;
}

/**
 * How long the application may stall between two of our statements before the server ends the session and so frees
 * the locks. Usually milliseconds pass; meanwhile no other process can refresh the view.
 */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;

/**
 * Without this, a backend whose client died went on for 11 s of a 12 s refresh; with it, for 0.9 s.
 */
const CONNECTION_CHECK_INTERVAL_MS = 1_000;

/**
 * Opens the transaction and sets its limits, in two statements and one round trip. For the transaction only: what is set for
 * the session leaks to other clients of a transaction pooler. The isolation level is explicit: under an application's default
 * of REPEATABLE READ, a refresh that waited for its lock would store old rows.
 */
export function begin(limits: TransactionLimits, server: ServerAbilities): SqlStatement {
  const access = limits.isReadOnly ? 'READ ONLY' : 'READ WRITE';
  return script([
    { text: `BEGIN ISOLATION LEVEL READ COMMITTED ${access}` },
    takeOwnSettings({
      lock_timeout: milliseconds(limits.lockTimeoutMs),
      statement_timeout: milliseconds(limits.statementTimeoutMs),
      idle_in_transaction_session_timeout: milliseconds(
        Math.max(IDLE_IN_TRANSACTION_TIMEOUT_MS, limits.idleTimeoutMs ?? 0),
      ),
      ...(server.canCheckConnection && {
        client_connection_check_interval: milliseconds(CONNECTION_CHECK_INTERVAL_MS),
      }),
      // A limit of the role would end the session in the middle of a refresh that is within statementTimeout.
      ...(server.hasTransactionTimeout && { transaction_timeout: '0' }),
      // If it were on, the first error would end the session, even one that a savepoint could undo.
      exit_on_error: 'off',
    }),
  ]);
}

/** Other limits for the rest of the transaction. */
export function setLocalLimits({
  lockTimeoutMs,
  statementTimeoutMs,
}: TransactionLimits): SqlStatement {
  return {
    text: `SET LOCAL lock_timeout = ${milliseconds(lockTimeoutMs)};
SET LOCAL statement_timeout = ${milliseconds(statementTimeoutMs)}`,
    isScript: true,
  };
}

/** Makes the rest of the transaction read-only. */
export function setReadOnly(): SqlStatement {
  return { text: 'SET TRANSACTION READ ONLY' };
}

export function setLocalLockTimeout(lockTimeoutMs: number): SqlStatement {
  return { text: `SET LOCAL lock_timeout = ${milliseconds(lockTimeoutMs)}` };
}

/** SET takes no bound values; the text can only contain digits. */
function milliseconds(value: number): string {
  return Math.trunc(value).toFixed(0);
}

/** A savepoint in a transaction that the library did not begin, and the settings from there on. */
export function beginInside(): SqlStatement {
  return script([savepoint(), takeOwnSettings()]);
}

/** The counterpart of `beginInside`: the work stays, and the settings are restored. */
export function endInside(): SqlStatement {
  return script([giveBackSettings(), releaseSavepoint()]);
}

export function commit(): SqlStatement {
  return { text: 'COMMIT' };
}

export function rollback(): SqlStatement {
  return { text: 'ROLLBACK' };
}

export function savepoint(): SqlStatement {
  return { text: 'SAVEPOINT attempt' };
}

/** The savepoint is released too: otherwise it would hide an outer one with the same name. */
export function rollbackToSavepoint(): SqlStatement {
  return {
    text: 'ROLLBACK TO SAVEPOINT attempt;\nRELEASE SAVEPOINT attempt',
    isScript: true,
  };
}

export function releaseSavepoint(): SqlStatement {
  return { text: 'RELEASE SAVEPOINT attempt' };
}

export interface SettingRow {
  name: string;
  value: string;
}

/** The values that `setLocalSettings` changes. */
export function selectSettings(names: string[]): SqlStatement {
  return {
    text: `SELECT name, coalesce(pg_catalog.current_setting(kept_name, true), '') AS value
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS setting(name, kept_name)`,
    values: [names, names.map(applicationSetting)],
  };
}

/** Sets values until the end of the transaction, for the application's text. */
export function setLocalSettings(settings: Record<string, string>): SqlStatement {
  return {
    text: `SELECT pg_catalog.set_config(name, value, true)
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS setting(name, value)`,
    values: [Object.keys(settings).map(applicationSetting), Object.values(settings)],
  };
}

export function restoreSettings(settings: SettingRow[]): SqlStatement {
  return setLocalSettings(Object.fromEntries(settings.map(({ name, value }) => [name, value])));
}

export interface StatementTimeoutRow {
  statement_timeout_ms: number;
}

/** `current_setting` would return it with a unit. */
export function selectStatementTimeout(): SqlStatement {
  return {
    text: `SELECT setting::float8 AS statement_timeout_ms
FROM pg_catalog.pg_settings
WHERE name = 'statement_timeout'`,
  };
}
