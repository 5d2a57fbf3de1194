import { Client, type ClientConfig } from 'pg';

/**
 * Settings that the library sets per transaction. As client options they would be session settings,
 * which PgBouncer refuses at connect. `query_timeout` only gives up on the client's side and leaves
 * the statement running on the server.
 */
const UNWANTED_PARAMETERS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
];

/** A client without the application's session settings, whose connection can be cut off. */
export class LibraryClient extends Client {
  /** Whether this process closed the connection: then its end is expected. */
  isCutOff = false;

  constructor(config?: ClientConfig) {
    super(config);
    // A terminated backend emits 'error', and without a listener the process dies. The pool has no
    // listener between connecting and handing over, so an error that arrives together with the
    // greeting would have none.
    this.on('error', () => undefined);
    // Several statements are sent in one round trip. A pg that doesn't support this sends them one
    // by one.
    (this as unknown as { pipeline: boolean }).pipeline = true;
    // Here pg has merged options, URL and its own global defaults.
    const { connectionParameters } = this as unknown as {
      connectionParameters: Record<string, unknown>;
    };
    UNWANTED_PARAMETERS.forEach((name) => delete connectionParameters[name]);
  }

  /**
   * Closes the connection without asking the server, which may never answer. Running statements fail.
   */
  cutOff(reason: string): void {
    this.isCutOff = true;
    this.connection.stream.destroy(new Error(reason));
  }
}
