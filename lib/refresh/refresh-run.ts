import { randomUUID } from 'node:crypto';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { viewName } from '../definition/view-definition.js';
import {
  RefreshCancelledError,
  RefreshError,
  RefreshStoppedError,
} from '../errors/refresh.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import {
  cancelLockHolder,
  lockInTime,
  tryLock,
  type TryLockRow,
} from '../postgres/advisory-lock.sql.js';
import type { PendingRow } from '../postgres/pending.sql.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import type { CallerTransaction, FoldedTransaction } from '../postgres/folded-transaction.js';
import { type FinishedRow, recordUnchanged } from '../postgres/history.sql.js';
import {
  type RefreshPreconditionRow,
  selectRefreshPreconditions,
} from '../postgres/refresh.sql.js';
import type { Session } from '../postgres/session.js';
import { isConnectionLoss } from '../postgres/session-lost.js';
import { setLocalSettings } from '../postgres/transaction.sql.js';
import {
  type PendingChanges,
  pendingChanges,
  questionOfPending,
} from '../tracking/pending-changes.js';
import { successStatements } from '../tracking/seen-changes.js';
import {
  allowedMode,
  areRowsCurrent,
  isServed,
  isUnchangedFor,
  requireView,
  skipReason,
} from './refresh-decision.js';
import { type ChosenMode, modeNamed } from './modes/modes.js';
import { RefreshFailure, type RefreshProgress } from './refresh-failure.js';
import type { CancelReason, RefreshLimits, RefreshRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import {
  isBusy,
  joinedResult,
  refreshedResult,
  runRecord,
  skippedResult,
  successRecord,
} from './run-results.js';
import { analyzeIfDue } from './statistics.js';

/**
 * One attempt at a refresh, in one transaction: the lock, the refresh, its state and its history row are committed
 * or rolled back together, so nothing has to be unlocked, however it ends. It takes two round trips: one for what
 * must be known first, and one for the refresh and everything after it.
 */
export class RefreshRun {
  private readonly view: string;
  private readonly lockKey: string;
  private readonly progress: RefreshProgress;
  private readonly failure: RefreshFailure;
  private cancelledBy?: CancelReason;
  private readonly urgency = new AbortController();
  /** The view before the refresh; known once this run holds the lock. */
  conditions?: RefreshPreconditionRow;
  private pending?: PendingChanges;
  /** Until when a stored time of the view is ahead of the database's clock, in milliseconds since the epoch. */
  aheadUntil?: number;

  constructor(
    private readonly request: RefreshRequest,
    private readonly context: Pick<DataSourceContext, 'database' | 'log'>,
    private readonly limits: RefreshLimits,
    attempt = 1,
  ) {
    this.view = viewName(request.definition);
    this.lockKey = refreshLockKey(request.definition.name);
    this.progress = { runId: randomUUID(), attempt, startedAt: Date.now() };
    this.failure = new RefreshFailure(request, context, limits, this.progress);
  }

  /** The server process that refreshes; known once it holds the lock. */
  get backendPid(): number | undefined {
    return this.progress.backendPid;
  }

  /** Whether it found that writes to what the view reads may leave no row in the log. */
  get isUncaptured(): boolean {
    return this.pending?.isCaptured === false;
  }

  /** How long to wait before the failed refresh is retried; `undefined` if it isn't. */
  get retryInMs(): number | undefined {
    return this.failure.retryInMs;
  }

  /**
   * Refreshes on one of the library's own connections.
   *
   * @throws RefreshError if it fails; the view keeps its rows
   */
  async execute(): Promise<RefreshResult> {
    try {
      return await this.context.database.session((session) => this.executeOn(session), {
        isBackground: !this.request.policy.isAwaited,
        urgency: this.urgency.signal,
      });
    } catch (cause) {
      if (cause instanceof PoolStopped) {
        throw RefreshStoppedError.of(this.view);
      }
      if (cause instanceof RefreshError) {
        throw cause;
      }
      const committed = await this.failure.committedInSpiteOf(cause);
      if (committed !== undefined) {
        return refreshedResult(this.request, this.progress, committed);
      }
      throw await this.failure.of(cause, { cancelledBy: this.cancelledBy });
    }
  }

  /**
   * Refreshes in the caller's transaction. The caller decides how it ends.
   *
   * @throws RefreshError if it fails; its work is rolled back, and the transaction can go on
   */
  async executeIn(transaction: CallerTransaction): Promise<RefreshResult> {
    try {
      return await this.perform(transaction);
    } catch (cause) {
      const error = this.failure.errorFrom(cause, {
        transaction,
        statementTimeoutMs: transaction.statementTimeoutMs,
      });
      await transaction.undo();
      throw error;
    }
  }

  /** A caller waits for it: it begins before refreshes that no caller waits for. */
  hurry(): void {
    this.urgency.abort();
  }

  /** Stops the refresh from beginning. One that has begun goes on: see `cancel`. */
  forbid(reason: CancelReason): void {
    this.cancelledBy = reason;
  }

  /** Cancels the refresh: in the server if it already runs there, otherwise before it begins. */
  async cancel(reason: CancelReason): Promise<void> {
    this.forbid(reason);
    const { backendPid } = this.progress;
    if (backendPid !== undefined) {
      await this.context.database.bookkeeping((session) =>
        session.query(cancelLockHolder(this.lockKey, backendPid)),
      );
    }
  }

  /** A failure is recorded on the run's own connection, because getting another one may take long. */
  private async executeOn(session: Session): Promise<RefreshResult> {
    const transaction = await this.context.database.folded(session, this.limits);
    try {
      const result = await session.limitedTo(this.limits, () => this.perform(transaction));
      await analyzeIfDue(session, this.context, {
        definition: this.request.definition,
        result,
        rowCountEstimate: this.conditions?.row_count_estimate ?? 0,
      });
      return result;
    } catch (cause) {
      if (isConnectionLoss(cause)) {
        throw cause;
      }
      throw await this.failure.of(cause, { transaction, cancelledBy: this.cancelledBy });
    }
  }

  private async perform(transaction: FoldedTransaction): Promise<RefreshResult> {
    this.throwIfCancelled();
    const sentAtMs = (this.progress.sentAtMs = performance.now());
    const { isLocked, found } = await this.prepare(transaction);
    const notDone = this.withoutRefresh(isLocked, found, sentAtMs);
    if (notDone !== undefined) {
      if (!isBusy(notDone)) {
        this.request.onDecided?.();
      }
      await this.end(transaction, notDone);
      return notDone;
    }
    const conditions = requireView(this.view, found);
    this.conditions = conditions;
    this.progress.backendPid = conditions.backend_pid;
    this.throwIfCancelled();
    const mode = allowedMode(this.view, conditions, this.request.mode);
    this.progress.mode = mode;
    this.request.onBegin?.();
    const finished = await this.carryOut(transaction, mode, conditions);
    return refreshedResult(this.request, this.progress, { mode, finished });
  }

  /**
   * The first round trip. A statement after the one that takes the lock reads the conditions, so that they are right
   * under the lock. The pending changes are read last: their snapshot becomes the watermark.
   */
  private async prepare(
    transaction: FoldedTransaction,
  ): Promise<{ isLocked: boolean; found?: RefreshPreconditionRow }> {
    const { stateSchema } = this.context.database;
    const { definition, tick, policy } = this.request;
    const { settings, minIntervalMs } = definition.refresh;
    this.progress.settingsStatement = setLocalSettings(settings);
    const [, [locked], [found], [pending] = []] = (await transaction.open([
      this.progress.settingsStatement,
      policy.whenBusy === 'wait-for-lock' ? lockInTime(this.lockKey) : tryLock(this.lockKey),
      selectRefreshPreconditions(stateSchema, definition.name, { tick, minIntervalMs }),
      ...questionOfPending(stateSchema, definition),
    ])) as [unknown, TryLockRow[], RefreshPreconditionRow[], PendingRow[]?];
    this.pending = pending && pendingChanges(definition, pending);
    this.progress.startedAt = found?.started_at ?? this.progress.startedAt;
    this.aheadUntil = found?.ahead_until ?? undefined;
    return { isLocked: locked?.acquired ?? false, found };
  }

  /** The result if nothing has to be refreshed. */
  private withoutRefresh(
    isLocked: boolean,
    found: RefreshPreconditionRow | undefined,
    sentAtMs: number,
  ): RefreshResult | undefined {
    const { servedSince } = this.request;
    const at = new Date(this.progress.startedAt);
    if (found && servedSince && isServed(found, sentAtMs - servedSince())) {
      return joinedResult(this.request, found);
    }
    if (!isLocked) {
      return skippedResult(this.request, 'busy', at);
    }
    const isUnchanged = isUnchangedFor(this.request, this.pending);
    const reason = found && skipReason(found, this.request, isUnchanged);
    return reason && skippedResult(this.request, reason, at, this.progress.runId);
  }

  /**
   * If the rows are found to be current, that is recorded, which ends a tick. Other skipped runs leave
   * nothing.
   */
  private async end(transaction: FoldedTransaction, result: RefreshResult): Promise<void> {
    const { stateSchema } = this.context.database;
    await (areRowsCurrent(result, this.request, this.pending)
      ? transaction.close([recordUnchanged(stateSchema, runRecord(this.request, this.progress))])
      : transaction.undo());
  }

  /** The second round trip; a swap takes several. */
  private async carryOut(
    transaction: FoldedTransaction,
    mode: ChosenMode,
    conditions: RefreshPreconditionRow,
  ): Promise<FinishedRow | undefined> {
    this.progress.sentAtMs = performance.now();
    const { definition } = this.request;
    const { stateSchema } = this.context.database;
    const statements = await modeNamed(mode.mode).run({
      session: transaction.session,
      stateSchema,
      definition,
      withData: this.request.mode.withData,
      lockTimeoutMs: this.limits.lockTimeoutMs,
      onViewStatement: (statement) => (this.progress.viewStatement = statement),
    });
    const rows = await transaction.close([
      ...statements,
      ...successStatements(
        stateSchema,
        definition,
        successRecord(this.request, this.progress, mode, conditions),
        { pending: this.pending, lastStartedAt: conditions.last_started_at },
      ),
    ]);
    return rows[statements.length]?.[0] as FinishedRow | undefined;
  }

  private throwIfCancelled(): void {
    if (this.cancelledBy !== undefined) {
      throw new RefreshCancelledError(
        `Materialized view "${this.view}" was not refreshed: it was cancelled before it began.`,
        { view: this.view },
      );
    }
  }
}
