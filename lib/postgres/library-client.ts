import { Client, type ClientConfig } from 'pg';

/**
 * Settings that the library sets per transaction. As client options they would be session settings,
 * which PgBouncer refuses at connect; `query_timeout` gives up on the client's side alone and
 * leaves the server running.
 */
const UNWANTED_PARAMETERS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
];

/** A client without settings that are not the library's, and that can be cut off. */
export class LibraryClient extends Client {
  /** Whether this process has ended the connection: then its end is no news. */
  isCutOff = false;

  constructor(config?: ClientConfig) {
    super(config);
    // A terminated backend emits 'error', without a listener the process dies, and the pool has none
    // between connecting and handing over: what arrives in one piece with the greeting finds nobody.
    this.on('error', () => undefined);
    // Several statements travel in one flight; a pg that does not know this sends them one by one.
    (this as unknown as { pipeline: boolean }).pipeline = true;
    // Here pg has put together what options, URL and its own global defaults say.
    const { connectionParameters } = this as unknown as {
      connectionParameters: Record<string, unknown>;
    };
    UNWANTED_PARAMETERS.forEach((name) => delete connectionParameters[name]);
  }

  /** Ends the connection without asking the server, which may never answer: what is under way fails. */
  cutOff(reason: string): void {
    this.isCutOff = true;
    this.connection.stream.destroy(new Error(reason));
  }
}
