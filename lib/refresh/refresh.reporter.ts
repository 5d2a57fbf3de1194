import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { type RefreshError, RefreshStoppedError } from '../errors/refresh.errors.js';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import { FailureLog } from './failure-log.js';
import {
  refreshChannel,
  type RefreshFailedEvent,
  type RefreshRetryingEvent,
  type RefreshSkippedEvent,
  type RefreshStartedEvent,
  type RefreshSucceededEvent,
  type RefreshTrace,
  skipChannel,
  type ViewRecoveredEvent,
} from './refresh-events.js';
import type { RefreshRequest } from './refresh-request.js';
import type {
  RefreshedResult,
  RefreshResult,
  RefreshTrigger,
  SkippedResult,
} from './refresh-result.js';
import type { RefreshRun } from './refresh-run.js';
import { isBusy } from './run-results.js';

/** Reports refreshes to the log and to listeners of events. */
export class RefreshReporter {
  /** The views with a stored time ahead of the database's clock. */
  private readonly ahead = new Set<string>();
  /** Refreshes that have begun. */
  private readonly traces = new Map<RefreshRequest, RefreshTrace>();

  private readonly retries: FailureLog;

  constructor(private readonly context: DataSourceContext) {
    this.retries = new FailureLog(context.log, (message) => context.log.warn(message));
  }

  /** The refresh has its lock and begins. */
  started(request: RefreshRequest, attempt: number, waitMs: number): void {
    const event: RefreshStartedEvent = { ...this.about(request), attempt };
    const trace: RefreshTrace = { ...event, waitMs };
    this.traces.set(request, trace);
    refreshChannel.start.publish(trace);
    this.context.events.publish(MaterializedViewEvents.refreshStarted, event);
  }

  /**
   * Warns, once, about a view with a stored time ahead of the database's clock.
   *
   * @param aheadUntil in milliseconds since the epoch
   */
  clock(definition: ViewDefinition, aheadUntil: number | undefined): void {
    const view = viewName(definition);
    if (aheadUntil === undefined) {
      this.ahead.delete(view);
    } else if (!this.ahead.has(view)) {
      this.ahead.add(view);
      this.context.log.warn(
        `The database's clock has gone back: the state of materialized view "${view}" has times up to ${new Date(aheadUntil).toISOString()}, which are still ahead of it. They are ignored, and the view is refreshed as usual.`,
      );
    }
  }

  /** @param run absent if there was no need for one */
  finished(result: RefreshResult, request: RefreshRequest, run?: RefreshRun): RefreshResult {
    if (result.outcome === 'refreshed') {
      this.endTrace(request, { result });
      this.succeeded(result, request, run?.conditions?.failure_count ?? 0);
    } else if (
      result.outcome === 'skipped' &&
      !(isBusy(result) && request.policy.whenBusy === 'ask-again')
    ) {
      this.skipped(result, request);
    }
    return result;
  }

  failed(
    error: RefreshError,
    request: RefreshRequest,
    { attempt, retryInMs }: { attempt: number; retryInMs?: number },
  ): void {
    this.endTrace(request, { error });
    if (error instanceof RefreshStoppedError) {
      // Rejected because the application stops: nothing has failed.
      return;
    }
    const event: RefreshFailedEvent = { ...this.about(request), attempt, error };
    if (retryInMs === undefined) {
      this.context.events.publish(MaterializedViewEvents.refreshFailed, event);
      return;
    }
    this.retries.failed(
      event.view,
      error,
      `Attempt ${attempt} ${purpose(request)} failed; the next attempt is in ${retryInMs} ms: ${error.message}`,
    );
    const retrying: RefreshRetryingEvent = { ...event, retryInMs };
    this.context.events.publish(MaterializedViewEvents.refreshRetrying, retrying);
  }

  private skipped(result: SkippedResult, request: RefreshRequest): void {
    this.context.log.debug(`Skipped "${result.view}" ${purpose(request)}: ${result.reason}`);
    const event: RefreshSkippedEvent = { ...this.about(request), result };
    skipChannel.publish(event);
    this.context.events.publish(MaterializedViewEvents.refreshSkipped, event);
  }

  /** A refresh that failed before it began is traced too. */
  private endTrace(request: RefreshRequest, end: Pick<RefreshTrace, 'result' | 'error'>): void {
    // The same object as at the start, because subscribers identify it by that.
    const trace = this.traces.get(request) ?? { ...this.about(request), attempt: 1 };
    this.traces.delete(request);
    Object.assign(trace, end);
    if (end.error !== undefined) {
      refreshChannel.error.publish(trace);
    }
    refreshChannel.asyncEnd.publish(trace);
  }

  private succeeded(result: RefreshedResult, request: RefreshRequest, failureCount: number): void {
    const { mode, modeReason } = result;
    this.retries.succeeded(result.view);
    const message = `Refreshed "${result.view}" ${purpose(request)} in ${Math.round(result.durationMs)} ms (${mode}, ${modeReason})`;
    if (request.mode.choice === 'concurrently' && modeReason === 'no_unique_index') {
      this.context.log.warn(
        `${message}: its readers had to wait, because it has no unique index that PostgreSQL can use to refresh it concurrently.`,
      );
    } else {
      this.context.log.log(message);
    }
    const event: RefreshSucceededEvent = { ...this.about(request), result };
    this.context.events.publish(MaterializedViewEvents.refreshSucceeded, event);
    if (failureCount > 0) {
      this.recovered(request, failureCount);
    }
  }

  private recovered(request: RefreshRequest, failureCount: number): void {
    const event: ViewRecoveredEvent = { ...this.about(request), failureCount };
    this.context.log.log(`"${event.view}" has recovered after ${failureCount} failures`);
    this.context.events.publish(MaterializedViewEvents.recovered, event);
  }

  private about({
    definition,
    trigger,
    tick,
  }: RefreshRequest): Pick<RefreshStartedEvent, 'view' | 'dataSource' | 'trigger' | 'tick'> {
    return { view: viewName(definition), dataSource: this.context.name, trigger, tick };
  }
}

function purpose({ tick, trigger }: RefreshRequest): string {
  return tick === undefined ? PURPOSES[trigger] : `for its tick ${tick.toISOString()}`;
}

const PURPOSES: Record<RefreshTrigger, string> = {
  schedule: 'by its schedule',
  demand: 'on demand',
  write: 'after a write',
  staleness: 'for its maxStaleness',
};
