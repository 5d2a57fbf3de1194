import { errorCode, isServerError, SqlState } from './sqlstate.js';

/** Stands for every failure of the transport, to which PostgreSQL gives no code and Node a great many. */
export const SESSION_LOST = 'SESSION_LOST';

/** Where nobody answered in time: on a connection that was there, or when one was to be opened. */
export type Silence = 'on_connection' | 'on_connect';

/**
 * The transport failed: a killed backend, an immediate stop of the server, a cut connection or one
 * on which nobody answers. What was under way may or may not have been committed.
 */
export class SessionLost extends Error {
  readonly code: string = SESSION_LOST;

  constructor(
    message: string,
    options: ErrorOptions,
    readonly silence?: Silence,
  ) {
    super(message, options);
  }

  /** Whatever the server has not said is the transport's: no list of Node's codes would be complete. */
  static from(error: unknown, silence?: Silence): unknown {
    return isServerError(error) ? error : new SessionLost(said(error), { cause: error }, silence);
  }
}

/**
 * No connection could be opened: nobody was there, or the server refused it. Why it did so is the code; a wrong
 * password, a missing database and a missing right all mean the same to whoever wanted to work.
 */
export class ConnectFailed extends SessionLost {
  override readonly code: string;

  constructor(error: unknown, silence?: Silence) {
    super(said(error), { cause: error }, silence);
    this.code = isServerError(error) ? (errorCode(error) ?? SESSION_LOST) : SESSION_LOST;
  }
}

/** Which silence an error comes of; `undefined` when somebody answered. */
export function silenceOf(error: unknown): Silence | undefined {
  return error instanceof SessionLost ? error.silence : undefined;
}

const LOST_SESSION_STATES: ReadonlySet<string | undefined> = new Set([
  // From a pooler they come with the first statement: only then it opens a connection to the server.
  SqlState.invalidAuthorization,
  SqlState.invalidPassword,
  SqlState.invalidCatalogName,
  SqlState.tooManyConnections,
  SqlState.adminShutdown,
  SqlState.crashShutdown,
  SqlState.cannotConnectNow,
  SqlState.idleSessionTimeout,
  SqlState.idleInTransactionTimeout,
  SqlState.transactionTimeout,
]);

/**
 * Whether the session is gone or never was, so that what it had under way may or may not have been committed.
 */
export function isConnectionLoss(error: unknown): boolean {
  const code = errorCode(error);
  return (
    error instanceof SessionLost || code?.startsWith('08') === true || LOST_SESSION_STATES.has(code)
  );
}

/** What an error says. Node gives one for several addresses a code, but no message. */
export function said(error: unknown): string {
  return (error instanceof Error && error.message) || (errorCode(error) ?? String(error));
}
