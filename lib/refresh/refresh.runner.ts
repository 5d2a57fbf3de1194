import { setTimeout as delay } from 'node:timers/promises';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { type RefreshError, RefreshStoppedError } from '../errors/refresh.errors.js';
import type { CaptureKeeper } from '../tracking/capture.keeper.js';
import type { ChangeLogKeeper } from '../tracking/change-log.keeper.js';
import type { HistoryPruner } from './history-pruner.js';
import type { RefreshReporter } from './refresh.reporter.js';
import type { CancelReason, RefreshRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRun } from './refresh-run.js';
import { isBusy, skippedResult } from './run-results.js';

/** The upkeep in the background after a refresh. */
export interface RefreshUpkeep {
  history: Pick<HistoryPruner, 'maybePrune'>;
  changeLog: Pick<ChangeLogKeeper, 'maybeKeep'>;
  captures: Pick<CaptureKeeper, 'maybeRepair'>;
}

/** A refresh with all its attempts. */
interface ActiveRefresh {
  run?: RefreshRun;
  result?: Promise<RefreshResult>;
  /** Ends the wait before the next attempt, and stops that attempt from beginning. */
  hurry: AbortController;
}

/** Runs refreshes, retries them, and knows which are running in this process. */
export class RefreshRunner {
  /** At most one per view, including those that wait for a connection or for their next attempt. */
  private readonly active = new Map<ViewDefinition, ActiveRefresh>();
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    private readonly reporter: RefreshReporter,
    private readonly upkeep: RefreshUpkeep,
  ) {}

  /**
   * Refreshes a view, with all attempts. Skips it as `busy` while this process is already refreshing
   * it.
   *
   * @throws RefreshError if the last attempt fails
   */
  async run(request: RefreshRequest): Promise<RefreshResult> {
    const { definition, signal } = request;
    this.throwIfStopped(definition);
    const underWay = this.active.get(definition);
    if (underWay !== undefined) {
      if (request.policy.isAwaited) {
        underWay.run?.hurry();
      }
      return this.reporter.finished(skippedResult(request, 'busy', new Date()), request);
    }
    const active: ActiveRefresh = { hurry: new AbortController() };
    const onAbort = (): void => this.abandon(active, definition);
    this.active.set(definition, active);
    signal?.addEventListener('abort', onAbort);
    try {
      active.result = this.attempts(request, active);
      const result = await active.result;
      if (isBusy(result)) {
        this.context.locks.maybeLook();
      }
      return result;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.active.delete(definition);
      this.upkeep.history.maybePrune();
      this.upkeep.changeLog.maybeKeep();
      if (active.run?.isUncaptured) {
        this.repairCaptures();
      }
    }
  }

  /**
   * Call it when writes to what a view reads may leave no row in the log. Works in the background, never throws.
   */
  repairCaptures(): void {
    this.upkeep.captures.maybeRepair();
  }

  /** How many refreshes are running in this process. */
  get activeCount(): number {
    return this.active.size;
  }

  isActive(definition: ViewDefinition): boolean {
    return this.active.has(definition);
  }

  /** Resolves when this process is not refreshing the view. */
  async untilFree(definition: ViewDefinition): Promise<void> {
    await this.active.get(definition)?.result?.catch(() => undefined);
  }

  /** Resolves when all refreshes that are running now have ended. */
  async untilIdle(): Promise<void> {
    await Promise.allSettled([...this.active.keys()].map((each) => this.untilFree(each)));
  }

  /** Whether one of these backends refreshes the view for this process. */
  isBackend(definition: ViewDefinition, backendPids: number[]): boolean {
    const backendPid = this.active.get(definition)?.run?.backendPid;
    return backendPid !== undefined && backendPids.includes(backendPid);
  }

  /**
   * Stops this process's refresh of the view from beginning or being retried. If it already runs in the server, the
   * caller must cancel it there.
   *
   * @returns whether there is one
   */
  forbid(definition: ViewDefinition): boolean {
    const active = this.active.get(definition);
    active?.hurry.abort();
    active?.run?.forbid('request');
    return active !== undefined;
  }

  /** Accepts no more refreshes, and rejects those that have no connection or wait for a retry. */
  refuse(): void {
    this.isStopped = true;
    this.context.database.stop();
    this.active.forEach(({ hurry }) => hurry.abort());
  }

  /** Cancels all running refreshes in the server. */
  async cancelAll(): Promise<void> {
    await Promise.allSettled(
      [...this.active.values()].map((active) => this.cancelActive(active, 'shutdown')),
    );
  }

  private async cancelActive({ run, hurry }: ActiveRefresh, reason: CancelReason): Promise<void> {
    hurry.abort();
    await run?.cancel(reason);
  }

  /** Cancels a refresh that no caller waits for. A failure to do so is logged, because no caller would get it. */
  private abandon(active: ActiveRefresh, definition: ViewDefinition): void {
    this.cancelActive(active, 'request').catch((error: unknown) => {
      this.context.log.warn(
        `A refresh of "${viewName(definition)}" that nobody waits for could not be cancelled: ${messageOf(error)}`,
      );
    });
  }

  private throwIfStopped(definition: ViewDefinition): void {
    if (this.isStopped) {
      throw RefreshStoppedError.of(viewName(definition));
    }
  }

  private async attempts(request: RefreshRequest, active: ActiveRefresh): Promise<RefreshResult> {
    for (let attempt = 1; ; attempt++) {
      const run = this.newRun(request, attempt);
      active.run = run;
      if (active.hurry.signal.aborted) {
        run.forbid('request');
      }
      try {
        return this.reporter.finished(await run.execute(), request, run);
      } catch (error) {
        const retryInMs = this.isStopped ? undefined : run.retryInMs;
        this.reporter.failed(error as RefreshError, request, { attempt, retryInMs });
        if (retryInMs === undefined) {
          throw error;
        }
        await this.pause(retryInMs, request.definition, active);
      } finally {
        this.reporter.clock(request.definition, run.aheadUntil);
      }
    }
  }

  private newRun(request: RefreshRequest, attempt: number): RefreshRun {
    const { lockTimeoutMs, statementTimeoutMs, sweepIntervalMs } = this.context.options;
    const limits = { lockTimeoutMs, statementTimeoutMs, backoffMs: sweepIntervalMs };
    const askedAtMs = performance.now();
    const onBegin = (): void => {
      request.onBegin?.();
      this.reporter.started(request, attempt, performance.now() - askedAtMs);
    };
    return new RefreshRun({ ...request, onBegin }, this.context, limits, attempt);
  }

  private async pause(
    delayMs: number,
    definition: ViewDefinition,
    { hurry }: ActiveRefresh,
  ): Promise<void> {
    await delay(delayMs, undefined, { signal: hurry.signal }).catch(() => undefined);
    this.throwIfStopped(definition);
  }
}
