import type { DataSourceContext } from '../definition/data-source.context.js';
import { viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import {
  ConnectionFailedError,
  RefreshCancelledError,
  type RefreshError,
  RefreshTimeoutError,
} from '../errors/refresh.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { BOOKKEEPING_LIMITS } from '../postgres/database.js';
import type { FoldedTransaction, OwnTransaction } from '../postgres/folded-transaction.js';
import { type FailureRecord, type FinishedRow, recordFailure } from '../postgres/history.sql.js';
import { silenceOf } from '../postgres/session-lost.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, saysTimeout } from '../postgres/sqlstate.js';
import { findLostRun } from './lost-run.js';
import type { ChosenMode } from './modes/modes.js';
import type { CancelReason, RefreshLimits, RefreshRequest } from './refresh-request.js';
import { retryDelayMs } from './retry-policy.js';
import { runRecord } from './run-results.js';

/** How far a run has come. */
export interface RefreshProgress {
  readonly runId: string;
  readonly attempt: number;
  /** Milliseconds since the epoch, by the database's clock once its answer is there. */
  startedAt: number;
  /** When the last statements were sent, by `performance.now()`. */
  sentAtMs?: number;
  /** Known once the run holds the lock. */
  backendPid?: number;
  mode?: ChosenMode;
  /** The statement that runs the view's query. All others are the library's. */
  viewStatement?: SqlStatement;
  /** The one of those that sets the view's settings. */
  settingsStatement?: SqlStatement;
}

interface Circumstances<Transaction extends FoldedTransaction = FoldedTransaction> {
  /** The run's transaction, not ended yet; absent if the connection was lost. */
  transaction?: Transaction;
  /** Set when this process has cancelled the run. */
  cancelledBy?: CancelReason;
  /** If it isn't the one in the limits. */
  statementTimeoutMs?: number;
}

/** What happens when a run fails: the caller's error, the history's row, and whether it is retried. */
export class RefreshFailure {
  private readonly view: string;
  retryInMs?: number;

  constructor(
    private readonly request: RefreshRequest,
    private readonly context: Pick<DataSourceContext, 'database' | 'log'>,
    private readonly limits: RefreshLimits,
    private readonly progress: RefreshProgress,
  ) {
    this.view = viewName(request.definition);
  }

  /** The caller's error, after the transaction is rolled back and the failure recorded. */
  async of(cause: unknown, circumstances: Circumstances<OwnTransaction>): Promise<RefreshError> {
    const error = this.errorFrom(cause, circumstances);
    this.retryInMs = this.retryDelay(error);
    const recorded = this.record(error, circumstances);
    // If the server doesn't answer, that takes as long as the failed attempt.
    if (silenceOf(cause) === undefined) {
      await recorded;
    }
    return error;
  }

  errorFrom(
    cause: unknown,
    {
      transaction,
      cancelledBy,
      statementTimeoutMs = this.limits.statementTimeoutMs,
    }: Circumstances,
  ): RefreshError {
    const { viewStatement, settingsStatement } = this.progress;
    const failed = transaction?.session.failedStatement;
    return refreshErrorFrom(cause, {
      view: this.view,
      indexes: this.request.definition.indexes.map(({ name }) => name),
      isTimeout: cancelledBy === undefined && this.isTimeout(cause, statementTimeoutMs),
      isOwnStatement: transaction !== undefined && failed !== viewStatement,
      makes: failed?.makes,
      isSetting: failed !== undefined && failed === settingsStatement,
    });
  }

  /**
   * A connection lost during the run leaves the outcome open: its COMMIT may have been done all the
   * same.
   *
   * @returns `undefined` if it was not committed
   * @throws ConnectionFailedError if that can't be found out now
   */
  async committedInSpiteOf(
    cause: unknown,
  ): Promise<{ mode: ChosenMode; finished: FinishedRow } | undefined> {
    const { mode, backendPid } = this.progress;
    if (mode === undefined || backendPid === undefined) {
      return undefined;
    }
    const finished = await this.lookUp(backendPid, cause);
    return finished && { mode, finished };
  }

  private async lookUp(backendPid: number, cause: unknown): Promise<FinishedRow | undefined> {
    const { runId } = this.progress;
    const lockKey = refreshLockKey(this.request.definition.name);
    try {
      return await findLostRun(this.context.database, { runId, lockKey, backendPid });
    } catch (lookupError) {
      const error = new ConnectionFailedError(
        `The connection was lost while materialized view "${this.view}" was refreshed, and it could not be found out whether the refresh was committed (${messageOf(lookupError)}).`,
        {
          view: this.view,
          cause,
          hint: `Look for run_id ${runId} in ${this.context.database.stateSchema}.refresh_history: a row means that it was.`,
        },
      );
      this.retryInMs = silenceOf(lookupError) === 'on_connect' ? undefined : this.retryDelay(error);
      throw error;
    }
  }

  private retryDelay(error: RefreshError): number | undefined {
    const delayMs = retryDelayMs(error, this.progress.attempt, Math.random());
    const { retryUntil } = this.request;
    const isLate =
      delayMs !== undefined &&
      retryUntil !== undefined &&
      Date.now() + delayMs >= retryUntil.getTime();
    return isLate ? undefined : delayMs;
  }

  /**
   * PostgreSQL's message decides. If `lc_messages` is not English, the duration of the failed statements decides,
   * without the wait for a connection. Duration alone can be wrong, because the server's clock may step.
   */
  private isTimeout(cause: unknown, statementTimeoutMs: number): boolean {
    const { sentAtMs } = this.progress;
    return (
      saysTimeout(cause) ??
      (statementTimeoutMs > 0 &&
        sentAtMs !== undefined &&
        performance.now() - sentAtMs >= statementTimeoutMs)
    );
  }

  /**
   * Best effort, and its error never replaces the original one: the database itself may have
   * failed.
   */
  private async record(
    error: RefreshError,
    { transaction, cancelledBy }: Circumstances<OwnTransaction>,
  ): Promise<void> {
    const outcome = outcomeOf(error);
    const backsOff =
      !this.request.policy.isAwaited && !error.isTransient && outcome !== 'cancelled';
    const statement = recordFailure(this.context.database.stateSchema, {
      ...runRecord(this.request, this.progress),
      outcome,
      errorCode: errorCode(error.cause) ?? error.code,
      errorMessage: messageOf(error.cause ?? error),
      isFinal: this.retryInMs === undefined,
      // What this process stops is left to another process.
      endsTick: outcome === 'timeout' || (outcome === 'cancelled' && cancelledBy !== 'shutdown'),
      backoffMs: backsOff ? this.limits.backoffMs : 0,
    });
    try {
      await (transaction === undefined
        ? this.context.database.bookkeeping((session) => session.query(statement))
        : transaction.replaceWith([statement], BOOKKEEPING_LIMITS));
    } catch (recordError) {
      this.context.log.warn(
        `The failure of "${this.view}" could not be recorded in the history: ${messageOf(recordError)}`,
      );
    }
  }
}

function outcomeOf(error: RefreshError): FailureRecord['outcome'] {
  if (error instanceof RefreshCancelledError) {
    return 'cancelled';
  }
  return error instanceof RefreshTimeoutError ? 'timeout' : 'failed';
}
