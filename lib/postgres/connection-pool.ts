import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { LibraryClient } from './library-client.js';
import { OneByOneClient } from './one-by-one.client.js';
import { Session, type SessionClient } from './session.js';
import { ConnectFailed, silenceOf } from './session-lost.js';
import { errorCode, SqlState } from './sqlstate.js';
import { type Turn, WaitingLine } from './waiting-line.js';

/** An idle connection of the library is closed after this time. */
const IDLE_TIMEOUT_MS = 10_000;

/** Used if the application sets none. pg's default is to wait for ever. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Measured by another clock, Node's timers may fire a little early. */
const TIMER_SHARE = 0.99;

/**
 * After this time without traffic, TCP checks whether the peer is still there. The system's default is 2 h.
 */
const KEEP_ALIVE_DELAY_MS = 10_000;

/** How long the server may take to confirm that connections are closed. */
const CLOSE_TIMEOUT_MS = 2_000;

/** The pool accepts no more work. */
export class PoolStopped extends Error {}

export interface ConnectionPoolOptions {
  /** The connection options that the application itself uses. */
  connection: PoolConfig;
  /** The maximum number of connections. */
  size: number;
  onConnectionError: (error: Error) => void;
  /** Called when a connection gets no answer. */
  onSilence: () => void;
}

export interface SessionOptions<T> {
  turn?: Turn;
  /** Whether the connection stays open for the next user. @default always */
  isKept?: (result: T) => boolean;
}

/** Connections of the library's own, opened when needed and closed when idle. */
export class ConnectionPool {
  private readonly pool: Pool;
  /**
   * Work waits here and not in pg's pool, whose single timeout would count waiting as connecting.
   */
  private readonly line: WaitingLine;
  private readonly held = new Set<PoolClient>();
  private readonly open = new Set<LibraryClient>();
  /** An attempt that takes this long to fail got no answer. pg gives its timeouts no code. */
  private readonly silenceMs: number;
  private readonly onSilence: () => void;
  /** The last attempt to connect that got no answer. */
  private unanswered?: { error: ConnectFailed; atMs: number };
  private isStopped = false;
  /** Whether statements of one flight are sent together. */
  isPipelined = true;

  constructor({ connection, size, onConnectionError, onSilence }: ConnectionPoolOptions) {
    const options = ownOptions(connection);
    this.line = new WaitingLine(size, new PoolStopped('The pool is stopped'));
    this.pool = new Pool({ ...options, max: size });
    this.silenceMs = (options.connectionTimeoutMillis || CONNECT_TIMEOUT_MS) * TIMER_SHARE;
    this.onSilence = onSilence;
    this.pool.on('error', (error, client) => {
      // This process closes connections itself, and the server may close idle ones.
      const isOwn = this.isStopped || (client as unknown as LibraryClient).isCutOff;
      if (!isOwn && errorCode(error) !== SqlState.idleSessionTimeout) {
        onConnectionError(error);
      }
    });
    this.pool.on('connect', (client) => this.open.add(client as unknown as LibraryClient));
    this.pool.on('remove', (client) => this.open.delete(client as unknown as LibraryClient));
  }

  /**
   * Runs `work` on a connection, waiting for a free one.
   *
   * @throws PoolStopped if the pool is stopped before the work gets a connection
   * @throws ConnectFailed if no connection can be opened, or none could be while it waited
   */
  async session<T>(
    work: (session: Session) => Promise<T>,
    { turn, isKept }: SessionOptions<T> = {},
  ): Promise<T> {
    const askedAtMs = performance.now();
    const release = await this.line.take(turn);
    try {
      if (this.isStopped) {
        throw new PoolStopped('The pool is stopped');
      }
      // Otherwise all waiting work would find out, one after the other, that the server doesn't
      // answer.
      if (this.unanswered !== undefined && this.unanswered.atMs > askedAtMs) {
        throw this.unanswered.error;
      }
      return await this.useConnection(work, isKept);
    } finally {
      release();
    }
  }

  get freeCount(): number {
    return this.line.freeCount;
  }

  /** Closes idle connections after half the time after which the server would close them. */
  closeIdleBefore(idleSessionTimeoutMs: number): void {
    if (idleSessionTimeoutMs > 0) {
      this.pool.options.idleTimeoutMillis = Math.min(IDLE_TIMEOUT_MS, idleSessionTimeoutMs / 2);
    }
  }

  /** Rejects work that waits or comes later. Work that has a connection goes on. */
  stop(): void {
    this.isStopped = true;
    this.line.close();
  }

  /** Closes all connections, those in use too: what still runs on them is rolled back by the server. */
  async close(): Promise<void> {
    this.stop();
    [...this.held].forEach((client) => {
      // pg's own `end` would wait for running statements.
      (client as unknown as LibraryClient).cutOff('The pool is closed');
      this.giveBack(client, true);
    });
    const timer = setTimeout(() => this.cutOff(), CLOSE_TIMEOUT_MS);
    try {
      await this.pool.end();
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Closes the idle connections: if the network silently dropped one, the next user of each would wait just as long.
   */
  cutOffIdle(): void {
    const held = new Set<unknown>(this.held);
    this.open.forEach((client) => {
      if (!held.has(client)) {
        client.cutOff('Nobody answers on another connection');
      }
    });
  }

  private cutOff(): void {
    this.open.forEach((client) =>
      client.cutOff('The server did not confirm the end of the session'),
    );
  }

  private async useConnection<T>(
    work: (session: Session) => Promise<T>,
    isKept: (result: T) => boolean = () => true,
  ): Promise<T> {
    const client = await this.connect();
    this.held.add(client);
    let isOver = true;
    try {
      const result = await work(new Session(this.sessionClient(client)));
      isOver = !isKept(result);
      return result;
    } catch (error) {
      if (silenceOf(error) !== undefined) {
        this.onSilence();
      }
      throw error;
    } finally {
      // After any failure the connection is closed: its state is not worth guessing.
      this.giveBack(client, isOver);
    }
  }

  private sessionClient(poolClient: PoolClient): SessionClient {
    const client = poolClient as unknown as LibraryClient;
    return this.isPipelined
      ? client
      : new OneByOneClient(client, (reason) => client.cutOff(reason));
  }

  private async connect(): Promise<PoolClient> {
    const sentAt = performance.now();
    try {
      return await this.pool.connect();
    } catch (error) {
      const atMs = performance.now();
      const isSilent = atMs - sentAt >= this.silenceMs;
      const failed = new ConnectFailed(error, isSilent ? 'on_connect' : undefined);
      if (isSilent) {
        this.unanswered = { error: failed, atMs };
      }
      throw failed;
    }
  }

  private giveBack(client: PoolClient, destroy: boolean): void {
    if (this.held.delete(client)) {
      client.release(destroy);
    }
  }
}

/** The options of the library's own connections, derived from those of the application's pool. */
export function ownOptions(options: PoolConfig): PoolConfig & { connectionTimeoutMillis: number } {
  return {
    ...options,
    // pg hides the password of a pool's options from enumeration, so a plain copy would lose it.
    password: options.password,
    connectionTimeoutMillis: options.connectionTimeoutMillis ?? CONNECT_TIMEOUT_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: options.keepAliveInitialDelayMillis ?? KEEP_ALIVE_DELAY_MS,
    min: 0,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    allowExitOnIdle: true,
    Client: LibraryClient,
  };
}
