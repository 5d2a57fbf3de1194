import type { ViewSelector } from '../definition/data-source-selector.js';
import { milliseconds } from '../definition/duration.js';
import { viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { type AfterResult, checkAfter, checkViews } from '../refresh/after-commit.js';
import type { DataDrift } from '../status/data-drift.js';
import {
  graphOptions,
  type RefreshAllOptions,
  type RefreshManyOptions,
} from '../refresh/graph-options.js';
import type { GraphReport } from '../refresh/graph-report.js';
import { GraphRefresher } from '../refresh/graph.refresher.js';
import type {
  RecentRuns,
  RefreshHistoryEntry,
  ViewHistoryEntry,
} from '../status/refresh-history.js';
import type { SingleRefreshOptions } from '../refresh/refresh-options.js';
import type { RefreshResult } from '../refresh/refresh-result.js';
import type { ViewStatus } from '../status/view-status.js';
import type { RunningRefresh } from '../refresh/refresh.control.js';
import { historyOfAll } from './history-of-all.js';
import type { ManagedDataSource } from './managed-data-source.js';
import type { FoundView, ManagedDataSources } from './managed-data-sources.js';
import { checkCallOptions } from './refresh-service.options.js';
import {
  type AnswerOptions,
  answerTimeoutMs,
  DRIFT_LIMIT,
  type DriftQuery,
  HISTORY_LIMIT,
  type HistoryAllQuery,
  type HistoryQuery,
  RECENT_LIMIT,
  type RecentRunsQuery,
  type StatusAllQuery,
  type StatusQuery,
  type ViewDataSource,
} from './status-queries.js';

/** Refreshes views on demand, controls refreshes, and reads the status of views. */
export class RefreshService {
  private readonly graph: GraphRefresher<ManagedDataSource>;

  constructor(private readonly sources: ManagedDataSources) {
    this.graph = new GraphRefresher(sources.log, ({ source, view }, options) =>
      this.refresh(viewName(view), { ...options, dataSource: source.name, schema: undefined }),
    );
  }

  /**
   * Refreshes one view and resolves when the view covers everything that was committed before the call. At most one
   * refresh of a view runs at a time in the whole database. Callers share refreshes, across processes too: the result
   * says whether this call `refreshed`, `joined` another or was `skipped`. If the view is populated and has a usable
   * unique index, readers are not blocked; otherwise they wait for the whole refresh. The result has the mode and the
   * reason.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws RefreshError or a subclass, if the refresh fails, after up to three retries where they may help. The
   *   view keeps its rows
   * @throws ReplicasBehindError if the refresh succeeded but standbys don't show it in time (`waitForReplicas`)
   * @example
   * ```ts
   * const result = await this.refreshes.refresh(DailyRevenue, { timeout: '30s' });
   * if (result.outcome === 'skipped') { ... }
   * ```
   */
  async refresh(view: ViewTarget, options: SingleRefreshOptions = {}): Promise<RefreshResult> {
    checkCallOptions('refresh', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    return source.refresher.refresh(found, options);
  }

  /**
   * Refreshes several views; `cascade` adds those that they read or that read them. Each view is refreshed once, as
   * soon as the views that it depends on are done, directly or through views in between. If a view fails, those that
   * depend on it are left out and the others go on.
   *
   * @param views their classes, or `schema.name`; a class with `schemas` stands for all its views, or that in `schema`
   * @throws UnknownViewError if a view is not registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value; nothing is refreshed
   * @throws DependencyCycleError if views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError at the end, if a view failed; it has the report
   * @example
   * ```ts
   * await this.refreshes.refreshMany([DailyRevenue, MonthlyRevenue]);
   * await this.refreshes.refreshMany([DailyRevenue], { cascade: 'dependents' });
   * ```
   */
  async refreshMany(
    views: readonly ViewTarget[],
    options: RefreshManyOptions = {},
  ): Promise<GraphReport> {
    checkViews('RefreshService.refreshMany', views);
    checkCallOptions('refreshMany', options);
    const targets = this.sources.materialized(options, views);
    return this.graph.refresh(targets, graphOptions(options));
  }

  /**
   * Refreshes all registered views, of all data sources or of one, of all schemas or of one, in dependency order.
   *
   * @throws UnknownViewError if no view is registered in `dataSource`
   * @throws InvalidOptionsError if an option is unknown or has a wrong value; nothing is refreshed
   * @throws DependencyCycleError if views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError at the end, if a view failed; it has the report
   */
  async refreshAll(options: RefreshAllOptions = {}): Promise<GraphReport> {
    checkCallOptions('refreshAll', options);
    return this.graph.refresh(this.sources.materialized(options), graphOptions(options));
  }

  /**
   * Runs `work`, then refreshes the views in dependency order. If `work` fails, nothing is refreshed. So if `work` is
   * a transaction, the views are refreshed after its commit, and not after a rollback. When the call resolves, each
   * view that the report calls `refreshed` or `joined` has everything that `work` wrote. `minInterval`, `onBusy:
   * 'skip'` and `onPaused: 'skip'` may skip views. `work` must be the whole transaction: a nested one is not
   * committed when it ends.
   *
   * @param views their classes, or `schema.name`; a class with `schemas` stands for all of them, or for the option `schema`
   * @throws whatever `work` throws
   * @throws UnknownViewError if a view is not registered; `work` was not run
   * @throws InvalidOptionsError if an argument or an option is wrong; `work` was not run
   * @throws RefreshCancelledError if the signal is already aborted; `work` was not run
   * @throws DependencyCycleError if views depend on each other in a circle; nothing is refreshed, but what `work`
   *   wrote is committed
   * @throws RefreshGraphError if a view failed; what `work` wrote is committed
   * @example
   * ```ts
   * const { value: order } = await this.refreshes.after(
   *   () => this.dataSource.transaction((manager) => manager.save(Order, { amount: 5 })),
   *   [DailyRevenue],
   * );
   * ```
   */
  async after<T>(
    work: () => Promise<T>,
    views: readonly ViewTarget[],
    options: RefreshManyOptions = {},
  ): Promise<AfterResult<T>> {
    checkCallOptions('after', options);
    checkAfter(work, views, options);
    this.sources.materialized(options, views);
    const value = await work();
    return { value, report: await this.refreshMany(views, options) };
  }

  /**
   * Cancels the running refresh of a view, in any process. Its caller gets `RefreshCancelledError`, its tick is not
   * repeated, and the view keeps its rows. Calls that wait behind it go on.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @returns whether there was one
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws RefreshError or a subclass, if the database can't be reached
   */
  async cancel(view: ViewTarget, options: ViewSelector = {}): Promise<boolean> {
    checkCallOptions('cancel', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    return source.refresher.control.cancel(found);
  }

  /**
   * Stops refreshes of the view by its schedule and after writes, in all processes and across restarts, until
   * `resume`. Refreshes on demand still run, unless they have `onPaused: 'skip'`. A running refresh goes on.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws RefreshError or a subclass, if that can't be stored
   */
  async pause(view: ViewTarget, options: ViewSelector = {}): Promise<void> {
    checkCallOptions('pause', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    await source.refresher.control.setPaused(found, true);
  }

  /**
   * Ends a pause. At the next sweep, one refresh makes up for the ticks missed. The next poll finds what was written.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws RefreshError or a subclass, if that can't be stored
   */
  async resume(view: ViewTarget, options: ViewSelector = {}): Promise<void> {
    checkCallOptions('resume', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    await source.refresher.control.setPaused(found, false);
  }

  /**
   * Lists the running refreshes of registered views, in any process.
   *
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the database doesn't answer within `timeout` (default 5 s), or is a standby: only the
   *   primary knows
   */
  async running(options: AnswerOptions = {}): Promise<RunningRefresh[]> {
    checkCallOptions('running', options);
    const timeoutMs = answerTimeoutMs(options);
    const running = this.sources.all().map(({ refresher }) => refresher.control.running(timeoutMs));
    return (await Promise.all(running)).flat();
  }

  /**
   * Returns the last runs of a view, in all processes, newest first. The only skipped runs are ticks that found the
   * view `unchanged`.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the history can't be read within `timeout` (default 5 s)
   */
  async history(view: ViewTarget, options: HistoryQuery = {}): Promise<RefreshHistoryEntry[]> {
    checkCallOptions('history', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    const { limit = HISTORY_LIMIT } = options;
    return source.inspector.history(found, { limit, timeoutMs: answerTimeoutMs(options) });
  }

  /**
   * Returns the last runs of all registered views, or of some, newest first, in one statement per data source. For
   * the next page, pass the last entry as `olderThan`.
   *
   * @throws UnknownViewError if the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the history can't be read within `timeout` (default 5 s)
   */
  async historyAll(options: HistoryAllQuery = {}): Promise<ViewHistoryEntry[]> {
    checkCallOptions('historyAll', options);
    if (options.views !== undefined) {
      checkViews('RefreshService.historyAll', options.views);
    }
    return historyOfAll(this.sources, options);
  }

  /**
   * Returns the outcomes of the last runs of each registered view, oldest first, in one statement per data source.
   *
   * @throws UnknownViewError if no view is registered in `dataSource`
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the history can't be read within `timeout` (default 5 s)
   */
  async recentRuns(options: RecentRunsQuery = {}): Promise<RecentRuns[]> {
    checkCallOptions('recentRuns', options);
    const { limit = RECENT_LIMIT } = options;
    const bounds = { limit, timeoutMs: answerTimeoutMs(options) };
    const sources = this.sources.named(options.dataSource);
    return (await Promise.all(sources.map(({ inspector }) => inspector.recentRuns(bounds)))).flat();
  }

  /**
   * Returns the status of a view: its age, its last success and failure, and whether it is being refreshed. The call
   * never waits for a refresh. A view that is missing from the database has a status too.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if it can't be read within `timeout` (default 5 s)
   */
  async status(view: ViewTarget, options: StatusQuery = {}): Promise<ViewStatus> {
    checkCallOptions('status', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    return source.inspector.status(found, answerTimeoutMs(options));
  }

  /**
   * Returns the status of all registered views, or of some. It runs the same few statements per data source for any
   * number of views.
   *
   * @throws UnknownViewError if the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the status can't be read within `timeout` (default 5 s)
   */
  async statusAll(options: StatusAllQuery = {}): Promise<ViewStatus[]> {
    checkCallOptions('statusAll', options);
    const { maxAge, views, dataSource, schema } = options;
    if (views !== undefined) {
      checkViews('RefreshService.statusAll', views);
    }
    const isAll = views === undefined && schema === undefined;
    const found = isAll ? undefined : this.sources.materialized({ dataSource, schema }, views);
    const sources = found?.map(({ source }) => source) ?? this.sources.named(dataSource);
    const timeoutMs = answerTimeoutMs(options);
    const statuses = [...new Set(sources)].map(({ inspector, sharedStatus }) =>
      maxAge === undefined
        ? inspector.statusAll(timeoutMs)
        : sharedStatus.statusAll(milliseconds(maxAge), timeoutMs),
    );
    const all = (await Promise.all(statuses)).flat();
    return found === undefined ? all : all.filter((status) => found.some(isOf(status)));
  }

  /**
   * Returns the data sources with materialized views.
   *
   * @throws NotInitializedError before the module has connected to them
   */
  dataSources(): ViewDataSource[] {
    return this.sources
      .all()
      .map(({ name, typeOrm }) => ({ name, database: typeOrm.driver.database ?? '' }));
  }

  /**
   * Compares the rows of a view with what its query returns now, in one snapshot. That costs about as much as a
   * refresh. Meanwhile it uses one of the `poolSize` connections and delays a blocking refresh.
   *
   * @param view its class, or `schema.name`; a class with `schemas` needs the option `schema`
   * @throws UnknownViewError if no such view is registered
   * @throws ViewMissingError if the view is not in the database
   * @throws ViewNotPopulatedError if it has no rows to compare
   * @throws InvalidOptionsError if an option is unknown or has a wrong value
   * @throws StatusError if the comparison fails or takes longer than `statementTimeout`
   */
  async drift(view: ViewTarget, options: DriftQuery = {}): Promise<DataDrift> {
    checkCallOptions('drift', options);
    const { source, view: found } = this.sources.findMaterialized(view, options);
    return source.inspector.drift(found, options.limit ?? DRIFT_LIMIT);
  }
}

const isOf =
  (status: ViewStatus) =>
  ({ source, view }: FoundView): boolean =>
    source.name === status.dataSource && viewName(view) === status.view;
