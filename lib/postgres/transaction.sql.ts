import { applicationSetting, giveBackSettings, takeOwnSettings } from './own-settings.sql.js';
import { script, type SqlStatement } from './sql-statement.js';

/** Limits of one transaction, in milliseconds; 0 means none. */
export interface TransactionLimits {
  lockTimeoutMs: number;
  statementTimeoutMs: number;
  /** Whether nothing is written, so that a standby takes it too. @default false */
  isReadOnly?: boolean;
}

/** What can be set depends on the server. */
export interface ServerAbilities {
  /** Whether the server can notice by itself that its client is gone (PostgreSQL 14+, by platform). */
  canCheckConnection: boolean;
  /** PostgreSQL 17+. */
  hasTransactionTimeout: boolean;
}

/**
 * How long the application may stall between two statements of ours before the server frees the locks by ending the
 * session. Milliseconds pass there as a rule; as long as it takes, no other process refreshes the view.
 */
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000;

/** A backend whose client died went on for 11 s of a 12 s refresh without this, and 0.9 s with it. */
const CONNECTION_CHECK_INTERVAL_MS = 1_000;

/**
 * Opens the transaction and sets its limits in one round trip. SET LOCAL only: SET leaks to other
 * clients of a transaction pooler. The isolation is explicit because under an application's
 * REPEATABLE READ default a refresh that waited for its lock would store old data.
 */
export function begin(limits: TransactionLimits, server: ServerAbilities): SqlStatement {
  const settings = {
    lock_timeout: limits.lockTimeoutMs,
    statement_timeout: limits.statementTimeoutMs,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    ...(server.canCheckConnection && {
      client_connection_check_interval: CONNECTION_CHECK_INTERVAL_MS,
    }),
    // A role's own limit would end the session in the middle of a refresh that keeps to statementTimeout.
    ...(server.hasTransactionTimeout && { transaction_timeout: 0 }),
  };
  const lines = Object.entries(settings).map(
    ([name, value]) => `SET LOCAL ${name} = ${milliseconds(value)}`,
  );
  return script([
    {
      text: `BEGIN ISOLATION LEVEL READ COMMITTED ${limits.isReadOnly ? 'READ ONLY' : 'READ WRITE'}`,
    },
    ...lines.map((text) => ({ text })),
    // With it on, the first error would end the session, and with it what can be taken back to a savepoint.
    { text: 'SET LOCAL exit_on_error = off' },
    takeOwnSettings(),
  ]);
}

/** Other limits for what follows in the transaction. */
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

/** What follows in the transaction changes nothing. */
export function setReadOnly(): SqlStatement {
  return { text: 'SET TRANSACTION READ ONLY' };
}

export function setLocalLockTimeout(lockTimeoutMs: number): SqlStatement {
  return { text: `SET LOCAL lock_timeout = ${milliseconds(lockTimeoutMs)}` };
}

/** SET takes no bound values; the text can hold nothing but digits. */
function milliseconds(value: number): string {
  return Math.trunc(value).toFixed(0);
}

/** A savepoint in a transaction that the library has not begun, and its settings from there on. */
export function beginInside(): SqlStatement {
  return script([savepoint(), takeOwnSettings()]);
}

/** The other end of `beginInside`: what was done stays, and the settings are as they were. */
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

/** The savepoint goes too: left behind, it would hide one of the same name around it. */
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

/** Sets values until the end of the transaction, for what the application's text computes. */
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

/** `current_setting` would give it with a unit. */
export function selectStatementTimeout(): SqlStatement {
  return {
    text: `SELECT setting::float8 AS statement_timeout_ms
FROM pg_catalog.pg_settings
WHERE name = 'statement_timeout'`,
  };
}
