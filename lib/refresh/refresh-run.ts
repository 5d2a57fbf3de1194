import { Logger } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { viewName } from '../definition/view-definition.js';
import {
  BlockingRefusedError,
  RefreshCancelledError,
  RefreshError,
  RefreshStoppedError,
  ViewMissingError,
} from '../errors/refresh.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import {
  cancelLockHolder,
  lockInTime,
  tryLock,
  type TryLockRow,
} from '../postgres/advisory-lock.sql.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import type { Database } from '../postgres/database.js';
import { analyze } from '../postgres/ddl.sql.js';
import type { FoldedTransaction } from '../postgres/folded-transaction.js';
import { type FinishedRow, recordSuccess } from '../postgres/history.sql.js';
import {
  refreshMaterializedView,
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { isConnectionLoss } from '../postgres/sqlstate.js';
import { setLocalSettings, type TransactionLimits } from '../postgres/transaction.sql.js';
import {
  type ChosenMode,
  chooseMode,
  isAnalyzeDue,
  isServed,
  skipReason,
} from './refresh-decision.js';
import { RefreshFailure, type RefreshProgress } from './refresh-failure.js';
import {
  type CancelReason,
  type RefreshLimits,
  type RefreshRequest,
  skippedResult,
} from './refresh-request.js';
import type { JoinedResult, RefreshedResult, RefreshResult } from './refresh-result.js';

/** ANALYZE reads a sample, whatever the size of the view; whoever locks it must not be waited for. */
const ANALYZE_LIMITS: TransactionLimits = { lockTimeoutMs: 100, statementTimeoutMs: 30_000 };

/**
 * One attempt at a refresh: one transaction. The lock, the refresh, its state and its history row stand
 * and fall together, so nothing needs unlocking, whatever ends it. Two round trips: what has to be known
 * before, and then the refresh with all that follows from it.
 */
export class RefreshRun {
  private readonly logger = new Logger('MaterializedViews');
  private readonly view: string;
  private readonly lockKey: string;
  private readonly progress: RefreshProgress;
  private readonly failure: RefreshFailure;
  private cancelledBy?: CancelReason;
  /** What the view was like before; known once this run holds the lock. */
  conditions?: RefreshPreconditionRow;

  constructor(
    private readonly request: RefreshRequest,
    private readonly database: Database,
    private readonly limits: RefreshLimits,
    attempt = 1,
  ) {
    this.view = viewName(request.definition);
    this.lockKey = refreshLockKey(request.definition.name);
    this.progress = { runId: randomUUID(), attempt, startedAt: Date.now() };
    this.failure = new RefreshFailure(request, database, limits, this.progress);
  }

  get runId(): string {
    return this.progress.runId;
  }

  /** How long to wait before the failed refresh is tried again; `undefined` when it is not to be. */
  get retryInMs(): number | undefined {
    return this.failure.retryInMs;
  }

  /**
   * Refreshes on a connection of the library's own.
   *
   * @throws RefreshError when it fails; the view then has the rows that it had before
   */
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
      const committed = await this.failure.committedInSpiteOf(cause);
      if (committed !== undefined) {
        return this.refreshed(committed.mode, committed.finished);
      }
      throw await this.failure.of(cause, { cancelledBy: this.cancelledBy });
    }
  }

  /**
   * Refreshes in a transaction of the caller's, who decides about its end.
   *
   * @throws RefreshError when it fails; what it did is taken back, and the transaction can go on
   */
  async executeIn(transaction: FoldedTransaction): Promise<RefreshResult> {
    try {
      return await this.perform(transaction);
    } catch (cause) {
      await transaction.undo();
      throw this.failure.errorFrom(cause, { session: transaction.session });
    }
  }

  /** Cancels the refresh: in the server if it is at it, else before it gets there. */
  async cancel(reason: CancelReason): Promise<void> {
    this.cancelledBy = reason;
    const { backendPid } = this.progress;
    if (backendPid !== undefined) {
      await this.database.bookkeeping((session) =>
        session.query(cancelLockHolder(this.lockKey, backendPid)),
      );
    }
  }

  /** A failure is recorded on the run's own connection: another one may be long in coming. */
  private async executeOn(session: Session): Promise<RefreshResult> {
    const transaction = await this.database.folded(session, this.limits);
    try {
      const result = await session.limitedTo(this.limits, () => this.perform(transaction));
      await this.analyze(session, result);
      return result;
    } catch (cause) {
      if (isConnectionLoss(cause)) {
        throw cause;
      }
      await transaction.undo();
      throw await this.failure.of(cause, { session, cancelledBy: this.cancelledBy });
    }
  }

  private async perform(transaction: FoldedTransaction): Promise<RefreshResult> {
    this.throwIfCancelled();
    const sentAt = performance.now();
    const { isLocked, found } = await this.prepare(transaction);
    const notDone = this.withoutRefresh(isLocked, found, sentAt);
    if (notDone !== undefined) {
      await transaction.undo();
      return notDone;
    }
    const conditions = this.requireView(found);
    this.conditions = conditions;
    this.progress.backendPid = conditions.backend_pid;
    this.throwIfCancelled();
    const mode = this.allowed(chooseMode(conditions, this.request.mode));
    this.progress.mode = mode;
    this.request.onBegin?.();
    return this.refreshed(mode, await this.carryOut(transaction, mode, conditions));
  }

  /** The first round trip. The conditions are a statement after the lock's, and so as they are under it. */
  private async prepare(
    transaction: FoldedTransaction,
  ): Promise<{ isLocked: boolean; found?: RefreshPreconditionRow }> {
    const { definition, tick, waitsForLock } = this.request;
    const { settings, minIntervalMs } = definition.refresh;
    this.progress.sentAtMs = performance.now();
    const [, [locked], [found]] = (await transaction.open([
      setLocalSettings(settings),
      waitsForLock ? lockInTime(this.lockKey) : tryLock(this.lockKey),
      selectRefreshPreconditions(this.database.stateSchema, definition.name, {
        tick,
        minIntervalMs,
      }),
    ])) as [unknown, TryLockRow[], RefreshPreconditionRow[]];
    this.progress.startedAt = found?.started_at ?? this.progress.startedAt;
    return { isLocked: locked?.acquired ?? false, found };
  }

  /** The result where nothing is to be refreshed. */
  private withoutRefresh(
    isLocked: boolean,
    found: RefreshPreconditionRow | undefined,
    sentAt: number,
  ): RefreshResult | undefined {
    const { servedSince } = this.request;
    const at = new Date(this.progress.startedAt);
    if (found && servedSince && isServed(found, sentAt - servedSince())) {
      return this.joined(found);
    }
    if (!isLocked) {
      return skippedResult(this.request, 'busy', at);
    }
    const reason = found && skipReason(found, this.request);
    return reason && skippedResult(this.request, reason, at);
  }

  /** The second round trip; a swap takes some more. */
  private async carryOut(
    transaction: FoldedTransaction,
    mode: ChosenMode,
    { snapshot }: RefreshPreconditionRow,
  ): Promise<FinishedRow | undefined> {
    const { definition, trigger, tick } = this.request;
    const { withData } = this.request.mode;
    const { runId, attempt, startedAt } = this.progress;
    const statements: SqlStatement[] = [
      refreshMaterializedView(definition.name, {
        concurrently: mode.mode === 'concurrently',
        withData,
      }),
    ];
    [this.progress.viewStatement] = statements;
    this.progress.sentAtMs = performance.now();
    const rows = await transaction.close([
      ...statements,
      recordSuccess(this.database.stateSchema, {
        runId,
        view: definition.name,
        trigger,
        tick,
        attempt,
        startedAt,
        ...mode,
        snapshot,
        isEmptied: !withData,
      }),
    ]);
    return rows[statements.length]?.[0] as FinishedRow | undefined;
  }

  /**
   * As autovacuum would do it later: until then the planner believes in the old rows. In a transaction
   * of its own, because it is no part of the refresh: where it fails, autovacuum makes it good.
   */
  private async analyze(session: Session, result: RefreshResult): Promise<void> {
    if (result.outcome !== 'refreshed' || result.mode === 'swap') {
      return;
    }
    const changedCount = (result.insertedCount ?? 0) + (result.deletedCount ?? 0);
    if (!isAnalyzeDue(changedCount, this.conditions?.row_count_estimate ?? 0)) {
      return;
    }
    const transaction = await this.database.folded(session, ANALYZE_LIMITS);
    try {
      await session.limitedTo(ANALYZE_LIMITS, () =>
        transaction.whole([analyze(this.request.definition.name)]),
      );
    } catch (error) {
      this.logger.debug(`"${this.view}" could not be analysed: ${String(error)}`);
      await transaction.undo();
    }
  }

  private throwIfCancelled(): void {
    if (this.cancelledBy !== undefined) {
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

  /** A view without rows has no readers that could be stopped. */
  private allowed(mode: ChosenMode): ChosenMode {
    if (this.request.mode.strict && mode.modeReason === 'no_unique_index') {
      throw new BlockingRefusedError(
        `Materialized view "${this.view}" was not refreshed: it has no unique index that PostgreSQL can use to refresh it concurrently, and \`strict\` forbids to stop its readers.`,
        {
          view: this.view,
          hint: 'Declare a unique index on plain columns, without a predicate, or leave `strict` out.',
        },
      );
    }
    return mode;
  }

  private joined(conditions: RefreshPreconditionRow): JoinedResult {
    const startedAt = conditions.last_started_at ?? 0;
    const finishedAt = conditions.last_success_at ?? startedAt;
    return {
      view: this.view,
      outcome: 'joined',
      // What a schema change stored has reasons of its own; its rows are as new.
      mode: (conditions.last_mode ?? 'blocking') as JoinedResult['mode'],
      modeReason: (conditions.last_mode_reason ?? 'requested') as JoinedResult['modeReason'],
      runId: conditions.last_run_id ?? '',
      trigger: this.request.trigger,
      startedAt: new Date(startedAt),
      finishedAt: new Date(finishedAt),
      durationMs: finishedAt - startedAt,
    };
  }

  private refreshed(mode: ChosenMode, finished: FinishedRow | undefined): RefreshedResult {
    const { runId, attempt, startedAt } = this.progress;
    return {
      view: this.view,
      outcome: 'refreshed',
      ...mode,
      runId,
      trigger: this.request.trigger,
      attempt,
      startedAt: new Date(startedAt),
      finishedAt: new Date(finished?.finished_at ?? Date.now()),
      durationMs: finished?.duration_ms ?? 0,
      insertedCount: countOf(finished?.inserted_count),
      deletedCount: countOf(finished?.deleted_count),
    };
  }
}

function countOf(count: string | null | undefined): number | undefined {
  return count === null || count === undefined ? undefined : Number(count);
}
