import { errorCode, isServerError, SqlState } from './sqlstate.js';

/** The code for every failure of the transport. PostgreSQL gives it no code, and Node gives many. */
export const SESSION_LOST = 'SESSION_LOST';

/** Where an answer didn't come in time: on an open connection, or while opening one. */
export type Silence = 'on_connection' | 'on_connect';

/**
 * The transport failed: a killed backend, an immediate stop of the server, a cut connection, or one
 * without an answer. Running work may or may not have been committed.
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

  /**
   * An error that doesn't come from the server is a transport failure: no list of Node's codes would be
   * complete.
   */
  static from(error: unknown, silence?: Silence): unknown {
    return isServerError(error) ? error : new SessionLost(said(error), { cause: error }, silence);
  }
}

/**
 * No connection could be opened: there was no answer, or the server refused it. The code says why. For the
 * caller, a wrong password, a missing database and a missing privilege all mean the same.
 */
export class ConnectFailed extends SessionLost {
  override readonly code: string;

  constructor(error: unknown, silence?: Silence) {
    super(said(error), { cause: error }, silence);
    this.code = isServerError(error) ? (errorCode(error) ?? SESSION_LOST) : SESSION_LOST;
  }
}

/** The kind of missing answer behind an error; `undefined` if there was an answer. */
export function silenceOf(error: unknown): Silence | undefined {
  return error instanceof SessionLost ? error.silence : undefined;
}

const LOST_SESSION_STATES: ReadonlySet<string | undefined> = new Set([
  // With a pooler they come with the first statement, because only then does it connect to the
  // server.
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
 * Whether the session was lost or never opened, so that running work may or may not have been committed.
 */
export function isConnectionLoss(error: unknown): boolean {
  const code = errorCode(error);
  return (
    error instanceof SessionLost || code?.startsWith('08') === true || LOST_SESSION_STATES.has(code)
  );
}

/** The text of an error. Node's error for several addresses has a code but no message. */
export function said(error: unknown): string {
  return (error instanceof Error && error.message) || (errorCode(error) ?? String(error));
}
