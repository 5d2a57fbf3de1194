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
  /** Milliseconds since the epoch, by the database's clock as soon as it has said it. */
  startedAt: number;
  /** When the last statements were sent, by `performance.now()`. */
  sentAtMs?: number;
  /** Known once the run holds the lock. */
  backendPid?: number;
  mode?: ChosenMode;
  /** The statement that runs the view's query. All others are the library's own. */
  viewStatement?: SqlStatement;
  /** The one of these that is about the view's settings. */
  settingsStatement?: SqlStatement;
}

interface Circumstances<Transaction extends FoldedTransaction = FoldedTransaction> {
  /** That of the run, not ended yet; absent where its connection is lost. */
  transaction?: Transaction;
  /** Set when this process has cancelled the run. */
  cancelledBy?: CancelReason;
  /** Where it is not that of the limits. */
  statementTimeoutMs?: number;
}

/** What becomes of a run that fails: what the caller gets, what the history gets, whether it is tried again. */
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

  /** The error that the caller gets, after the transaction is taken back and the failure recorded. */
  async of(cause: unknown, circumstances: Circumstances<OwnTransaction>): Promise<RefreshError> {
    const error = this.errorFrom(cause, circumstances);
    this.retryInMs = this.retryDelay(error);
    const recorded = this.record(error, circumstances);
    // Where nobody answers, that takes as long as what has failed.
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
   * A connection lost in the middle leaves the outcome open: its COMMIT may have been done all the same.
   *
   * @returns `undefined` when it was not committed
   * @throws ConnectionFailedError when that cannot be found out now
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
        `The connection was lost while materialized view "${this.view}" was refreshed, and whether the refresh was committed could not be found out (${messageOf(lookupError)}).`,
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
   * What PostgreSQL says decides. Its words are translated where `lc_messages` is not English; then the time
   * that the failed statements took does, without the wait for a connection. The server counts by a clock that may
   * step, so that time alone can be wrong.
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

  /** Best effort, and never in place of the error itself: the database may be what failed. */
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
      // What this process stops with is another one's to do.
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
