import { Semaphore } from 'async-mutex';
import { Pool, type PoolClient, type PoolConfig, type QueryResultRow } from 'pg';
import { selectServer, type ServerRow, tryConnectionCheck } from './server.sql.js';
import { Session, SessionLost } from './session.js';
import type { SqlStatement } from './sql-statement.js';
import { begin, rollback, type TransactionLimits } from './transaction.sql.js';

/** A connection of the library's own is closed after this time without work. */
const IDLE_TIMEOUT_MS = 10_000;

/**
 * Settings that the library sets per transaction. As client options they would be session settings,
 * which PgBouncer refuses at connect; `query_timeout` gives up on the client's side alone and
 * leaves the server running.
 */
const UNWANTED_OPTIONS = [
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'query_timeout',
] as const;

export interface DatabaseOptions {
  /** The connection options that the application itself uses. */
  connection: PoolConfig;
  /** Connections at the most. */
  poolSize: number;
  /** The schema of the library's own tables. */
  stateSchema: string;
  onConnectionError: (error: Error) => void;
}

export interface ServerInfo {
  /** The schema in which unqualified names are created. */
  currentSchema: string | null;
  canCheckConnection: boolean;
}

/**
 * One database as the library sees it: a small pool of its own, so that a refresh, which holds a
 * connection for its whole run, never takes one from the application.
 */
export class Database {
  readonly stateSchema: string;
  private readonly pool: Pool;
  /** Work waits here and not in the pool, whose one timeout would count waiting as connecting. */
  private readonly slots: Semaphore;
  private readonly held = new Set<PoolClient>();
  private server?: Promise<ServerInfo>;

  constructor(options: DatabaseOptions) {
    this.stateSchema = options.stateSchema;
    this.slots = new Semaphore(options.poolSize);
    this.pool = new Pool({
      ...ownConnectionOptions(options.connection),
      max: options.poolSize,
      min: 0,
      idleTimeoutMillis: IDLE_TIMEOUT_MS,
      allowExitOnIdle: true,
    });
    this.pool.on('error', options.onConnectionError);
  }

  /** Runs `work` on a connection of its own, waiting for a free one. */
  async session<T>(work: (session: Session) => Promise<T>): Promise<T> {
    return this.slots.runExclusive(() => this.useConnection(work));
  }

  /** Like `session`, on an extra connection when all others are busy: for cancelling what they run. */
  async extraSession<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const pool = new Pool({ ...ownConnectionOptions(this.pool.options), max: 1 });
    pool.on('error', () => undefined);
    try {
      return await this.useConnection(work, pool);
    } finally {
      await pool.end();
    }
  }

  async query<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    return this.session((session) => session.query<Row>(statement));
  }

  /** Runs `work` in a transaction with the given limits, on a connection of its own. */
  async transaction<T>(
    limits: Omit<TransactionLimits, 'canCheckConnection'>,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    const { canCheckConnection } = await this.serverInfo();
    return this.session((session) =>
      session.transaction(begin({ ...limits, canCheckConnection }), () => work(session)),
    );
  }

  /** Facts about the server that do not change, asked once. */
  async serverInfo(): Promise<ServerInfo> {
    this.server ??= this.session(readServerInfo).catch((error: unknown) => {
      this.server = undefined;
      throw error;
    });
    return this.server;
  }

  /** Closes all connections, those in use too: what still runs on them is rolled back by the server. */
  async close(): Promise<void> {
    [...this.held].forEach((client) => this.giveBack(client, true));
    await this.pool.end();
  }

  private async useConnection<T>(
    work: (session: Session) => Promise<T>,
    pool: Pool = this.pool,
  ): Promise<T> {
    const client = await connect(pool);
    // A terminated backend emits 'error' on its client: without a listener the process dies.
    const onError = (): void => undefined;
    client.on('error', onError);
    this.held.add(client);
    let failed = true;
    try {
      const result = await work(new Session(client));
      failed = false;
      return result;
    } finally {
      client.off('error', onError);
      // After any failure the connection is closed: its state is not worth guessing.
      this.giveBack(client, failed);
    }
  }

  private giveBack(client: PoolClient, destroy: boolean): void {
    if (this.held.delete(client)) {
      client.release(destroy);
    }
  }
}

async function connect(pool: Pool): Promise<PoolClient> {
  try {
    return await pool.connect();
  } catch (error) {
    throw SessionLost.from(error);
  }
}

/** pg hides the password of a pool's options from enumeration, so a plain copy would lose it. */
function ownConnectionOptions(options: PoolConfig): PoolConfig {
  const own: PoolConfig = { ...options, password: options.password };
  for (const name of UNWANTED_OPTIONS) {
    delete own[name];
  }
  return own;
}

async function readServerInfo(session: Session): Promise<ServerInfo> {
  const [server] = await session.query<ServerRow>(selectServer());
  return {
    currentSchema: server?.current_schema ?? null,
    canCheckConnection: await canCheckConnection(session),
  };
}

/** Tried and not derived from the version: it depends on the platform and on PgBouncer's settings too. */
async function canCheckConnection(session: Session): Promise<boolean> {
  try {
    await session.query(tryConnectionCheck());
    return true;
  } catch (error) {
    if (error instanceof SessionLost) {
      throw error;
    }
    return false;
  } finally {
    await session.query(rollback()).catch(() => undefined);
  }
}
