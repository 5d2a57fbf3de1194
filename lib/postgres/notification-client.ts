import type { PoolConfig } from 'pg';
import { ownOptions } from './connection-pool.js';
import { LibraryClient } from './library-client.js';
import { Session } from './session.js';
import { ConnectFailed } from './session-lost.js';
import { isDoneWithin } from './time-limit.js';
import { allowIdleness, listen } from './wake-up.sql.js';

/** How long the server may take to confirm the end. */
const CLOSE_TIMEOUT_MS = 2_000;

/**
 * One connection that receives notifications. It isn't from a pool, because it is held for as long as the
 * process runs.
 */
export class NotificationClient {
  /** Resolves when the connection has ended, to the last error of the server or the network. */
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

  /** @throws ConnectFailed if it can't be opened */
  async connect(): Promise<void> {
    try {
      await this.client.connect();
    } catch (error) {
      throw new ConnectFailed(error);
    }
    // The connection alone doesn't keep the process alive.
    (this.client as unknown as { unref(): void }).unref();
  }

  /** Stops the server from ending the session for being idle. Only for a session that no pooler shares. */
  async allowIdleness(): Promise<void> {
    await this.session.query(allowIdleness());
  }

  /** Receives notifications sent after this resolves. */
  async listen(channel: string): Promise<void> {
    await this.session.query(listen(channel));
  }

  /** Closes the connection, even while it is being opened. Never throws. */
  async close(): Promise<void> {
    await isDoneWithin(
      this.client.end().catch(() => undefined),
      CLOSE_TIMEOUT_MS,
    );
    this.client.cutOff('The connection is closed');
  }
}
