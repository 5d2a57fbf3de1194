import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { Database } from '../postgres/database.js';
import { untilReplayed } from './replica-wait.js';
import { CallerRefresh } from './caller.refresh.js';
import { DemandQueue } from './demand.queue.js';
import { HistoryPruner } from './history-pruner.js';
import { RefreshControl } from './refresh.control.js';
import { resolveRefreshOptions, type SingleRefreshOptions } from './refresh-options.js';
import { RefreshReporter } from './refresh.reporter.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRunner, type RefreshUpkeep } from './refresh.runner.js';
import { RefreshShutdown } from './refresh.shutdown.js';

/** Refreshes the views of one data source. */
export class Refresher {
  readonly runner: RefreshRunner;
  readonly control: RefreshControl;
  readonly history: HistoryPruner;
  private readonly demands: DemandQueue;
  private readonly callerRefresh: CallerRefresh;
  private readonly shutdown: RefreshShutdown;
  private readonly database: Database;

  constructor(context: DataSourceContext, upkeep: Omit<RefreshUpkeep, 'history'>) {
    this.database = context.database;
    this.history = new HistoryPruner(context);
    const reporter = new RefreshReporter(context);
    this.runner = new RefreshRunner(context, reporter, {
      captures: upkeep.captures,
      changeLog: upkeep.changeLog,
      history: this.history,
    });
    this.demands = new DemandQueue(this.runner);
    this.callerRefresh = new CallerRefresh(context, reporter);
    this.control = new RefreshControl(context, this.runner);
    this.shutdown = new RefreshShutdown(context, this.runner, this.demands);
  }

  /**
   * Refreshes a view on demand.
   *
   * @param options already checked
   * @throws RefreshError if the refresh fails, or the caller's timeout or signal comes first
   * @throws ReplicasBehindError if it is done, but standbys don't show it in time
   */
  async refresh(view: ViewDefinition, options: SingleRefreshOptions): Promise<RefreshResult> {
    const resolved = resolveRefreshOptions(view, options);
    const { manager, onBusy, waitForReplicas: replicas } = options;
    if (manager !== undefined) {
      return this.callerRefresh.refresh(view, resolved, { manager, onBusy });
    }
    const { timeoutMs, signal } = resolved;
    const askedAtMs = performance.now();
    const result = await this.demands.refresh(view, resolved);
    return replicas === undefined
      ? result
      : untilReplayed(this.database, result, {
          replicas,
          timeoutMs: timeoutMs && timeoutMs - (performance.now() - askedAtMs),
          signal,
        });
  }

  /** Accepts no more refreshes, and ends running ones within `shutdownTimeout`. */
  async stop(): Promise<void> {
    await this.shutdown.stop();
  }
}
