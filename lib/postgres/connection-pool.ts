import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { LibraryClient } from './library-client.js';
import { Session } from './session.js';
import { ConnectFailed, silenceOf } from './session-lost.js';
import { errorCode, SqlState } from './sqlstate.js';
import { type Turn, WaitingLine } from './waiting-line.js';

/** A connection of the library's own is closed after this time without work. */
const IDLE_TIMEOUT_MS = 10_000;

/** Where the application sets none. pg's default is to wait for ever. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Node's timers may go off a little early by another clock. */
const TIMER_SHARE = 0.99;

/** After this time without traffic TCP asks whether the peer is still there; the system's default is 2 h. */
const KEEP_ALIVE_DELAY_MS = 10_000;

/** How long the server may take to confirm that connections are closed. */
const CLOSE_TIMEOUT_MS = 2_000;

/** The pool lets nobody in any more. */
export class PoolStopped extends Error {}

export interface ConnectionPoolOptions {
  /** The connection options that the application itself uses. */
  connection: PoolConfig;
  /** Connections at the most. */
  size: number;
  onConnectionError: (error: Error) => void;
  /** Called when nobody answers on a connection. */
  onSilence: () => void;
}

export interface SessionOptions<T> {
  turn?: Turn;
  /** Whether the connection stays open for who comes next. @default always */
  isKept?: (result: T) => boolean;
}

/** Connections of the library's own, opened when needed and closed when idle. */
export class ConnectionPool {
  private readonly pool: Pool;
  /** Work waits here and not in the pool, whose one timeout would count waiting as connecting. */
  private readonly line: WaitingLine;
  private readonly held = new Set<PoolClient>();
  private readonly open = new Set<LibraryClient>();
  /** What takes so long to fail got no answer: pg gives its timeouts no code. */
  private readonly silenceMs: number;
  private readonly onSilence: () => void;
  /** The last connection that could not be opened because nobody answered. */
  private unanswered?: { error: ConnectFailed; atMs: number };
  private isStopped = false;

  constructor({ connection, size, onConnectionError, onSilence }: ConnectionPoolOptions) {
    const options = ownOptions(connection);
    this.line = new WaitingLine(size, new PoolStopped('The pool is stopped'));
    this.pool = new Pool({ ...options, max: size });
    this.silenceMs = (options.connectionTimeoutMillis || CONNECT_TIMEOUT_MS) * TIMER_SHARE;
    this.onSilence = onSilence;
    this.pool.on('error', (error, client) => {
      // This process ends connections itself, and the server may end those that are idle.
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
   * @throws PoolStopped when it still waits when the pool is stopped, or comes later
   * @throws ConnectFailed when none can be opened, or none could be while it waited
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
      // Otherwise all who wait would find out one after the other that nobody is there.
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

  /** Closes idle connections of its own accord after half the time after which the server would. */
  closeIdleBefore(idleSessionTimeoutMs: number): void {
    if (idleSessionTimeoutMs > 0) {
      this.pool.options.idleTimeoutMillis = Math.min(IDLE_TIMEOUT_MS, idleSessionTimeoutMs / 2);
    }
  }

  /** Turns away whoever waits or comes from now on. Work that has a connection goes on. */
  stop(): void {
    this.isStopped = true;
    this.line.close();
  }

  /** Closes all connections, those in use too: what still runs on them is rolled back by the server. */
  async close(): Promise<void> {
    this.stop();
    [...this.held].forEach((client) => {
      // pg itself would wait for what is under way.
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

  /** Ends the idle connections: on a network that has swallowed one, each would cost its next user the same wait. */
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
      const result = await work(new Session(client as unknown as LibraryClient));
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

/** Those of a connection of the library's own, from those of the application's pool. */
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
