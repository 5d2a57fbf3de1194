import { Logger } from '@nestjs/common';
import type { QueryResultRow } from 'pg';
import { viewName } from '../definition/view-definition.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import {
  ConnectionFailedError,
  RefreshCancelledError,
  RefreshError,
  RefreshStoppedError,
  RefreshTimeoutError,
  ViewMissingError,
} from '../errors/refresh.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { cancelLockHolder, tryLock, type TryLockRow } from '../postgres/advisory-lock.sql.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import type { Database } from '../postgres/database.js';
import {
  type FailureRecord,
  type FinishedRow,
  recordFailure,
  recordSuccess,
  type RunRecord,
} from '../postgres/history.sql.js';
import {
  refreshMaterializedView,
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, isConnectionLoss } from '../postgres/sqlstate.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import { findLostRun } from './lost-run.js';
import { type ChosenMode, chooseMode, tickSkipReason } from './refresh-decision.js';
import { type RefreshRequest, skippedResult } from './refresh-request.js';
import type {
  RefreshedResult,
  RefreshResult,
  RefreshTrigger,
  SkipReason,
} from './refresh-result.js';

export interface RefreshLimits extends TransactionLimits {
  /** How long schedules stay away from a view after each failure in a row that is not transient. */
  backoffMs: number;
}

/** A statement that the run has sent, for what its failure means. */
interface SentStatement {
  atMs: number;
  /** Whether it is about the library's own tables, and not the view's query. */
  isOwn: boolean;
}

/**
 * One refresh: one connection, one transaction. The lock, the refresh, its state and its history row
 * stand and fall together, so nothing needs unlocking, whatever ends it.
 */
export class RefreshRun {
  private readonly logger = new Logger('MaterializedViews');
  private readonly view: string;
  private readonly lockKey: string;
  private startedAt = Date.now();
  private lastStatement?: SentStatement;
  /** Known once this run holds the lock. */
  private backendPid?: number;
  private chosenMode?: ChosenMode;
  private isCancelled = false;

  constructor(
    private readonly request: RefreshRequest,
    private readonly database: Database,
    private readonly limits: RefreshLimits,
  ) {
    this.view = viewName(request.definition);
    this.lockKey = refreshLockKey(request.definition.name);
  }

  /** @throws RefreshError when it fails; the view then has the rows that it had before */
  async execute(): Promise<RefreshResult> {
    try {
      return await this.database.session((session) => this.executeOn(session));
    } catch (cause) {
      if (cause instanceof PoolStopped) {
        throw RefreshStoppedError.of(this.view);
      }
      if (cause instanceof RefreshError) {
        throw cause;
      }
      return await this.afterLoss(cause);
    }
  }

  /** Cancels the refresh: in the server if it is at it, else before it gets there. */
  async cancel(): Promise<void> {
    this.isCancelled = true;
    const { backendPid } = this;
    if (backendPid !== undefined) {
      await this.database.bookkeeping((session) =>
        session.query(cancelLockHolder(this.lockKey, backendPid)),
      );
    }
  }

  /** A failure is recorded on the run's own connection: another one may be long in coming. */
  private async executeOn(session: Session): Promise<RefreshResult> {
    try {
      return await this.database.within(session, this.limits, () => this.attempt(session));
    } catch (cause) {
      if (isConnectionLoss(cause)) {
        throw cause;
      }
      throw await this.failure(cause, session);
    }
  }

  private async attempt(session: Session): Promise<RefreshResult> {
    const { name } = this.request.definition;
    const { stateSchema } = this.database;
    this.throwIfCancelled();
    const [locked] = await this.queryOwn<TryLockRow>(session, tryLock(this.lockKey));
    this.startedAt = locked?.now ?? this.startedAt;
    if (!locked?.acquired) {
      return this.skipped('busy');
    }
    const [found] = await this.queryOwn<RefreshPreconditionRow>(
      session,
      selectRefreshPreconditions(stateSchema, name, this.request.tick),
    );
    const conditions = this.requireView(found);
    this.startedAt = conditions.started_at;
    this.backendPid = conditions.backend_pid;
    const skipReason = this.request.tick && tickSkipReason(conditions);
    if (skipReason !== undefined) {
      return this.skipped(skipReason);
    }
    this.throwIfCancelled();
    const mode = chooseMode(conditions);
    this.chosenMode = mode;
    this.lastStatement = { atMs: performance.now(), isOwn: false };
    await session.query(refreshMaterializedView(name, mode.mode === 'concurrently'));
    const [finished] = await this.queryOwn<FinishedRow>(
      session,
      recordSuccess(stateSchema, { ...this.record(), ...mode, snapshot: conditions.snapshot }),
    );
    return this.refreshed(mode, finished);
  }

  private async queryOwn<Row extends QueryResultRow>(
    session: Session,
    statement: SqlStatement,
  ): Promise<Row[]> {
    this.lastStatement = { atMs: performance.now(), isOwn: true };
    return session.queryBriefly<Row>(statement);
  }

  private throwIfCancelled(): void {
    if (this.isCancelled) {
      throw new RefreshCancelledError(
        `Materialized view "${this.view}" was not refreshed: it was cancelled before it began.`,
        { view: this.view },
      );
    }
  }

  private requireView(conditions: RefreshPreconditionRow | undefined): RefreshPreconditionRow {
    if (conditions?.relation_kind !== 'm') {
      const what = conditions?.relation_kind ? 'is not a materialized view' : 'does not exist';
      throw new ViewMissingError(`Relation "${this.view}" ${what} in the database.`, {
        view: this.view,
        hint: 'Was it dropped, renamed or replaced by hand? Booting creates a missing view again.',
      });
    }
    return conditions;
  }

  /**
   * A connection lost in the middle leaves the outcome open.
   *
   * @throws ConnectionFailedError when it was not committed, or when that cannot be found out now
   */
  private async afterLoss(cause: unknown): Promise<RefreshedResult> {
    const { chosenMode, backendPid } = this;
    if (chosenMode !== undefined && backendPid !== undefined) {
      const finished = await this.committedRun(backendPid, cause);
      if (finished !== undefined) {
        return this.refreshed(chosenMode, finished);
      }
    }
    throw await this.failure(cause);
  }

  private async committedRun(backendPid: number, cause: unknown): Promise<FinishedRow | undefined> {
    const { runId } = this.request;
    try {
      return await findLostRun(this.database, { runId, lockKey: this.lockKey, backendPid });
    } catch (lookupError) {
      throw new ConnectionFailedError(
        `The connection was lost while materialized view "${this.view}" was refreshed, and whether the refresh was committed could not be found out (${messageOf(lookupError)}).`,
        {
          view: this.view,
          cause,
          hint: `Look for run_id ${runId} in ${this.database.stateSchema}.refresh_history: a row means that it was.`,
        },
      );
    }
  }

  /** The error that the caller gets, after it has been recorded. */
  private async failure(cause: unknown, session?: Session): Promise<RefreshError> {
    const error = refreshErrorFrom(cause, {
      view: this.view,
      isTimeout: !this.isCancelled && this.isTimeOver(),
      isOwnStatement: this.lastStatement?.isOwn ?? false,
    });
    await this.recordFailure(error, session);
    return error;
  }

  /** Of the statement that failed: waiting for a connection does not count. */
  private isTimeOver(): boolean {
    const { statementTimeoutMs } = this.limits;
    const sinceMs = this.lastStatement?.atMs;
    return (
      statementTimeoutMs > 0 &&
      sinceMs !== undefined &&
      performance.now() - sinceMs >= statementTimeoutMs
    );
  }

  /** Best effort, and never in place of the error itself: the database may be what failed. */
  private async recordFailure(error: RefreshError, session?: Session): Promise<void> {
    const backsOff = this.request.tick !== undefined && !error.isTransient;
    const statement = recordFailure(this.database.stateSchema, {
      ...this.record(),
      outcome: failureOutcome(error),
      errorCode: errorCode(error.cause) ?? error.code,
      errorMessage: messageOf(error.cause ?? error),
      backoffMs: backsOff ? this.limits.backoffMs : 0,
    });
    try {
      await this.database.bookkeeping((own) => own.query(statement), session);
    } catch (recordError) {
      this.logger.warn(
        `The failure of "${this.view}" could not be recorded in the history: ${messageOf(recordError)}`,
      );
    }
  }

  private record(): RunRecord & { trigger: RefreshTrigger } {
    const { runId, definition, trigger, tick } = this.request;
    return { runId, view: definition.name, trigger, tick, startedAt: this.startedAt };
  }

  private refreshed(mode: ChosenMode, finished: FinishedRow | undefined): RefreshedResult {
    return {
      view: this.view,
      outcome: 'refreshed',
      ...mode,
      runId: this.request.runId,
      trigger: this.request.trigger,
      startedAt: new Date(this.startedAt),
      finishedAt: new Date(finished?.finished_at ?? Date.now()),
      durationMs: finished?.duration_ms ?? 0,
    };
  }

  private skipped(reason: SkipReason): RefreshResult {
    return skippedResult(this.request, reason, new Date(this.startedAt));
  }
}

function failureOutcome(error: RefreshError): FailureRecord['outcome'] {
  if (error instanceof RefreshCancelledError) {
    return 'cancelled';
  }
  return error instanceof RefreshTimeoutError ? 'timeout' : 'failed';
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
