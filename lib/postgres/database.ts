import type { PoolConfig, QueryResultRow } from 'pg';
import { ConnectionPool } from './connection-pool.js';
import { OwnTransaction } from './folded-transaction.js';
import { NotificationClient } from './notification-client.js';
import { findPipelining } from './pipeline.js';
import { selectServer, type ServerRow, tryConnectionCheck } from './server.sql.js';
import { type ServerEngine, serverEngine } from './server-engine.js';
import type { Session } from './session.js';
import type { SqlStatement } from './sql-statement.js';
import { ConnectFailed, isConnectionLoss, SessionLost } from './session-lost.js';
import { AnswerTimeout, inTime } from './time-limit.js';
import {
  begin,
  rollback,
  type ServerAbilities,
  type TransactionLimits,
} from './transaction.sql.js';
import type { Turn } from './waiting-line.js';

/** For the library's own small tables: if someone locks one, nothing may wait long for it. */
export const BOOKKEEPING_LIMITS: TransactionLimits = {
  lockTimeoutMs: 5_000,
  statementTimeoutMs: 10_000,
};

/** The server's own error says more, so the server's limits end first. */
const ANSWER_SHARE = 0.8;

export interface DatabaseOptions {
  /** The connection options that the application itself uses. */
  connection: PoolConfig;
  /** The maximum number of connections, not counting the one for bookkeeping. */
  poolSize: number;
  /** The schema of the library's own tables. */
  stateSchema: string;
  onConnectionError: (error: Error) => void;
}

export interface ServerInfo extends ServerAbilities {
  /** The schema in which unqualified names are created. */
  currentSchema: string | null;
  /** The engine, if it isn't plain PostgreSQL. */
  engine?: ServerEngine;
  /** Whether plain views have `security_invoker` (PostgreSQL 15+). */
  hasSecurityInvoker: boolean;
  /** Whether statements may be sent together: not where a pooler mixes up the answers. */
  isPipelined: boolean;
}

/**
 * One database as the library sees it: a small pool of its own, so that a refresh, which holds a
 * connection for its whole run, never takes one from the application.
 */
export class Database {
  readonly stateSchema: string;
  private readonly connection: PoolConfig;
  private readonly pool: ConnectionPool;
  /** One connection, so that bookkeeping never waits behind refreshes. */
  private readonly bookkeepingPool: ConnectionPool;
  private server?: Promise<ServerInfo>;

  constructor({ connection, poolSize, stateSchema, onConnectionError }: DatabaseOptions) {
    this.stateSchema = stateSchema;
    this.connection = connection;
    const onSilence = (): void => {
      this.pool.cutOffIdle();
      this.bookkeepingPool.cutOffIdle();
    };
    const options = { connection, onConnectionError, onSilence };
    this.pool = new ConnectionPool({ ...options, size: poolSize });
    this.bookkeepingPool = new ConnectionPool({ ...options, size: 1 });
  }

  /** Runs `work` on a connection of its own, waiting for a free one. */
  async session<T>(work: (session: Session) => Promise<T>, turn?: Turn): Promise<T> {
    return this.pool.session(work, { turn });
  }

  /** How many calls of `session` would get a connection without waiting. */
  get freeCount(): number {
    return this.pool.freeCount;
  }

  /** Runs `work` in a transaction with the given limits, on a connection of its own. */
  async transaction<T>(
    limits: TransactionLimits,
    work: (session: Session) => Promise<T>,
  ): Promise<T> {
    return this.session((session) => this.within(session, limits, () => work(session)));
  }

  /** Runs `work` in a transaction with the given limits, on a connection that the caller has. */
  async within<T>(session: Session, limits: TransactionLimits, work: () => Promise<T>): Promise<T> {
    return session.transaction(begin(limits, await this.serverInfo()), work, limits);
  }

  /** A transaction on a connection that the caller has, which costs no round trips of its own. */
  async folded(session: Session, limits: TransactionLimits): Promise<OwnTransaction> {
    return new OwnTransaction(session, limits, await this.serverInfo());
  }

  /** Runs `work` in a short transaction over the library's own tables and locks, on the reserved connection. */
  async bookkeeping<T>(work: (session: Session) => Promise<T>): Promise<T> {
    await this.serverInfo();
    return this.onReservedConnection(work);
  }

  /**
   * Sends one statement in its own transaction. The only limits are those that the statement sets.
   *
   * @param isKept whether the connection stays open after this statement
   */
  async single<Row extends QueryResultRow>(
    statement: SqlStatement,
    isKept: (rows: Row[]) => boolean,
  ): Promise<Row[]> {
    return this.bookkeepingPool.session((session) => session.query<Row>(statement), { isKept });
  }

  /**
   * Like `bookkeeping`, but only reads, on a standby too, and waits no longer than the given time.
   *
   * @throws AnswerTimeout when the time is over; what was started ends by itself
   */
  async reading<T>(timeoutMs: number, work: (session: Session) => Promise<T>): Promise<T> {
    const askedAtMs = performance.now();
    const share = Math.ceil(timeoutMs * ANSWER_SHARE);
    const limits = {
      lockTimeoutMs: Math.min(BOOKKEEPING_LIMITS.lockTimeoutMs, share),
      statementTimeoutMs: Math.min(BOOKKEEPING_LIMITS.statementTimeoutMs, share),
      isReadOnly: true,
    };
    const answer = this.serverInfo().then(() =>
      this.onReservedConnection((session) => {
        if (performance.now() - askedAtMs >= timeoutMs) {
          throw new AnswerTimeout(timeoutMs);
        }
        return work(session);
      }, limits),
    );
    return inTime(answer, timeoutMs);
  }

  /** A connection that receives notifications, not yet opened. The caller must close it. */
  notificationClient(onNotification: (channel: string) => void): NotificationClient {
    return new NotificationClient(this.connection, onNotification);
  }

  /** Facts about the server that do not change, asked once. */
  async serverInfo(): Promise<ServerInfo> {
    this.server ??= this.readServer().catch((error: unknown) => {
      this.server = undefined;
      throw error;
    });
    return this.server;
  }

  private async readServer(): Promise<ServerInfo> {
    const { idleSessionTimeoutMs, ...server } = await this.bookkeepingPool.session(readServerInfo);
    this.pool.closeIdleBefore(idleSessionTimeoutMs);
    this.bookkeepingPool.closeIdleBefore(idleSessionTimeoutMs);
    const isPipelined = await findPipelining(this.bookkeepingPool, server);
    this.pool.isPipelined = isPipelined;
    return { ...server, isPipelined };
  }

  /** Rejects all work that waits for a connection or comes later, except bookkeeping. */
  stop(): void {
    this.pool.stop();
  }

  /** Closes all connections, those in use too: what still runs on them is rolled back by the server. */
  async close(): Promise<void> {
    await Promise.all([this.pool.close(), this.bookkeepingPool.close()]);
  }

  private async onReservedConnection<T>(
    work: (session: Session) => Promise<T>,
    limits = BOOKKEEPING_LIMITS,
  ): Promise<T> {
    let hasBegun = false;
    const run = (session: Session): Promise<T> =>
      this.within(session, limits, () => {
        hasBegun = true;
        return work(session);
      });
    try {
      return await this.bookkeepingPool.session(run);
    } catch (error) {
      if (hasBegun || error instanceof ConnectFailed || !isConnectionLoss(error)) {
        throw error;
      }
      // It was idle, and was lost for the same reason that made the bookkeeping necessary.
      return this.bookkeepingPool.session(run);
    }
  }
}

async function readServerInfo(
  session: Session,
): Promise<Omit<ServerInfo, 'isPipelined'> & { idleSessionTimeoutMs: number }> {
  const [server] = await session.query<ServerRow>(selectServer());
  return {
    idleSessionTimeoutMs: Number(server?.idle_session_timeout ?? 0),
    currentSchema: server?.current_schema ?? null,
    engine: server && serverEngine(server),
    hasTransactionTimeout: server?.has_transaction_timeout ?? false,
    hasSecurityInvoker: server?.has_security_invoker ?? false,
    canCheckConnection: await canCheckConnection(session),
  };
}

/**
 * Tried instead of derived from the version, because it also depends on the platform and on PgBouncer's
 * settings.
 */
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
