import { viewName } from '../definition/view-definition.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import {
  ConnectionFailedError,
  RefreshCancelledError,
  type RefreshError,
  RefreshTimeoutError,
  ViewMissingError,
} from '../errors/refresh.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { cancelLockHolder, tryLock, type TryLockRow } from '../postgres/advisory-lock.sql.js';
import type { Database } from '../postgres/database.js';
import {
  type FailureRecord,
  type FinishedRow,
  recordFailure,
  recordSuccess,
  type RunRecord,
  selectRun,
} from '../postgres/history.sql.js';
import {
  refreshMaterializedView,
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import { errorCode, isConnectionLoss } from '../postgres/sqlstate.js';
import type { RefreshRequest } from './refresh-request.js';
import type {
  RefreshedResult,
  RefreshMode,
  RefreshModeReason,
  RefreshResult,
  RefreshTrigger,
  SkipReason,
} from './refresh-result.js';

export interface RefreshLimits {
  lockTimeoutMs: number;
  statementTimeoutMs: number;
  /** How long schedules stay away from a view after each failure in a row that is not transient. */
  backoffMs: number;
}

/**
 * One refresh: one connection, one transaction. The lock, the refresh, its state and its history row
 * stand and fall together, so nothing needs unlocking, whatever ends it.
 */
export class RefreshRun {
  private readonly view: string;
  private readonly lockKey: string;
  private readonly createdAt = new Date();
  private readonly createdAtMs = performance.now();
  private startedAt?: Date;
  /** Known for as long as this run holds the lock. */
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
      return await this.database.transaction(this.limits, (session) => this.attempt(session));
    } catch (cause) {
      return await this.fail(cause);
    } finally {
      this.backendPid = undefined;
    }
  }

  /** Cancels the refresh: in the server if it is at it, else before it gets there. */
  async cancel(): Promise<void> {
    this.isCancelled = true;
    const backendPid = this.backendPid;
    if (backendPid !== undefined) {
      await this.database.extraSession((session) =>
        session.query(cancelLockHolder(this.lockKey, backendPid)),
      );
    }
  }

  private async attempt(session: Session): Promise<RefreshResult> {
    const { name } = this.request.definition;
    this.throwIfCancelled();
    const [locked] = await session.query<TryLockRow>(tryLock(this.lockKey));
    this.startedAt = locked?.now;
    if (!locked?.acquired) {
      return this.skipped('busy');
    }
    const [found] = await session.query<RefreshPreconditionRow>(
      selectRefreshPreconditions(this.database.stateSchema, name, this.request.tick),
    );
    const conditions = this.requireView(found);
    this.startedAt = conditions.started_at;
    this.backendPid = conditions.backend_pid;
    const skipReason = this.skipReason(conditions);
    if (skipReason !== undefined) {
      return this.skipped(skipReason);
    }
    this.throwIfCancelled();
    this.chosenMode = chooseMode(conditions);
    await session.query(refreshMaterializedView(name, this.chosenMode.mode === 'concurrently'));
    const [finished] = await session.query<FinishedRow>(
      recordSuccess(this.database.stateSchema, {
        ...this.record(),
        ...this.chosenMode,
        snapshot: conditions.snapshot,
      }),
    );
    return this.refreshed(this.chosenMode, finished);
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

  private skipReason(conditions: RefreshPreconditionRow): SkipReason | undefined {
    if (this.request.tick === undefined) {
      return undefined;
    }
    if (conditions.is_tick_done) {
      return 'tick_done';
    }
    if (conditions.is_tick_early) {
      return 'tick_early';
    }
    return conditions.is_backing_off ? 'backing_off' : undefined;
  }

  private async fail(cause: unknown): Promise<RefreshResult> {
    if (isConnectionLoss(cause) && this.chosenMode !== undefined) {
      const finished = await this.committedRun(this.chosenMode, cause);
      if (finished !== undefined) {
        return finished;
      }
    }
    const error = refreshErrorFrom(cause, {
      view: this.view,
      elapsedMs: performance.now() - this.createdAtMs,
      statementTimeoutMs: this.limits.statementTimeoutMs,
    });
    await this.recordFailure(error);
    throw error;
  }

  /**
   * A connection lost in the middle leaves the outcome open: COMMIT may have been done. The run's row
   * tells, once its lock is free.
   *
   * @throws ConnectionFailedError when that cannot be found out now
   */
  private async committedRun(
    mode: ChosenMode,
    cause: unknown,
  ): Promise<RefreshedResult | undefined> {
    try {
      return await this.database.transaction(this.limits, async (session) => {
        const [locked] = await session.query<TryLockRow>(tryLock(this.lockKey));
        const [finished] = await session.query<FinishedRow>(
          selectRun(this.database.stateSchema, this.request.runId),
        );
        if (finished === undefined && !locked?.acquired) {
          throw new Error('the refresh may still be running in the server');
        }
        return finished && this.refreshed(mode, finished);
      });
    } catch (lookupError) {
      throw new ConnectionFailedError(
        `The connection was lost while materialized view "${this.view}" was refreshed, and whether the refresh was committed could not be found out (${messageOf(lookupError)}).`,
        {
          view: this.view,
          cause,
          hint: `Look for run_id ${this.request.runId} in ${this.database.stateSchema}.refresh_history: a row means that it was.`,
        },
      );
    }
  }

  /** Best effort, and never in place of the error itself: the database may be what failed. */
  private async recordFailure(error: RefreshError): Promise<void> {
    const backsOff = this.request.tick !== undefined && !error.isTransient;
    await this.database
      .query(
        recordFailure(this.database.stateSchema, {
          ...this.record(),
          outcome: failureOutcome(error),
          errorCode: errorCode(error.cause) ?? error.code,
          errorMessage: messageOf(error.cause ?? error),
          backoffMs: backsOff ? this.limits.backoffMs : 0,
        }),
      )
      .catch(() => undefined);
  }

  private record(): RunRecord & { trigger: RefreshTrigger } {
    const { runId, definition, trigger, tick } = this.request;
    const startedAt = this.startedAt ?? this.createdAt;
    return { runId, view: definition.name, trigger, tick, startedAt };
  }

  private refreshed(mode: ChosenMode, finished: FinishedRow | undefined): RefreshedResult {
    const { runId, trigger, startedAt } = this.record();
    return {
      view: this.view,
      outcome: 'refreshed',
      ...mode,
      runId,
      trigger,
      startedAt,
      finishedAt: finished?.finished_at ?? new Date(),
      durationMs: finished?.duration_ms ?? 0,
    };
  }

  private skipped(reason: SkipReason): RefreshResult {
    const { runId, trigger, startedAt } = this.record();
    return {
      view: this.view,
      outcome: 'skipped',
      reason,
      runId,
      trigger,
      startedAt,
      finishedAt: startedAt,
      durationMs: 0,
    };
  }
}

interface ChosenMode {
  mode: RefreshMode;
  modeReason: RefreshModeReason;
}

function chooseMode(conditions: RefreshPreconditionRow): ChosenMode {
  if (!conditions.is_populated) {
    return { mode: 'blocking', modeReason: 'unpopulated' };
  }
  return conditions.has_usable_unique_index
    ? { mode: 'concurrently', modeReason: 'unique_index' }
    : { mode: 'blocking', modeReason: 'no_unique_index' };
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
