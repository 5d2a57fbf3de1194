import type { PoolConfig } from 'pg';
import { ownOptions } from './connection-pool.js';
import { LibraryClient } from './library-client.js';
import { Session } from './session.js';
import { ConnectFailed } from './session-lost.js';
import { isDoneWithin } from './time-limit.js';
import { allowIdleness, listen } from './wake-up.sql.js';

/** How long the server may take to confirm the end. */
const CLOSE_TIMEOUT_MS = 2_000;

/** One connection that hears notifications. No pool's, because it is held for as long as the process runs. */
export class NotificationClient {
  /** Resolves to what the server said last, or the transport, when the connection is there no more. */
  readonly ended: Promise<Error>;
  private readonly client: LibraryClient;
  private readonly session: Session;

  constructor(connection: PoolConfig, onNotification: (channel: string) => void) {
    this.client = new LibraryClient(ownOptions(connection));
    this.session = new Session(this.client);
    this.ended = new Promise((resolve) => {
      let cause: Error | undefined;
      this.client.on('error', (error) => (cause ??= error));
      this.client.once('end', () => resolve(cause ?? new Error('the server ended the connection')));
    });
    this.client.on('notification', ({ channel }) => onNotification(channel));
  }

  /** @throws ConnectFailed when it cannot be opened */
  async connect(): Promise<void> {
    try {
      await this.client.connect();
    } catch (error) {
      throw new ConnectFailed(error);
    }
    // A process that has nothing else to do may end.
    (this.client as unknown as { unref(): void }).unref();
  }

  /** Has the server not end the session for being idle. Only for a session that no pooler gives to others. */
  async allowIdleness(): Promise<void> {
    await this.session.query(allowIdleness());
  }

  /** Hears what is sent there from when this resolves. */
  async listen(channel: string): Promise<void> {
    await this.session.query(listen(channel));
  }

  /** Ends the connection, also one that is being opened. Never throws. */
  async close(): Promise<void> {
    await isDoneWithin(
      this.client.end().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
    this.client.cutOff('The connection is closed');
  }
}
