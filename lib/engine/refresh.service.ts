import type { DataSourceSelector } from '../definition/data-source-selector.js';
import { milliseconds } from '../definition/duration.js';
import { checkOptions, dataSourceOptions } from '../definition/option-rules.js';
import { viewName } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { type AfterResult, checkAfter, checkViews } from '../refresh/after-commit.js';
import type { DataDrift } from '../status/data-drift.js';
import {
  allRefreshes,
  graphOptions,
  manyRefreshes,
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
import { singleRefresh, type SingleRefreshOptions } from '../refresh/refresh-options.js';
import type { RefreshResult } from '../refresh/refresh-result.js';
import type { ViewStatus } from '../status/view-status.js';
import type { RunningRefresh } from '../refresh/refresh.control.js';
import { historyOfAll } from './history-of-all.js';
import type { ManagedDataSource } from './managed-data-source.js';
import type { FoundView, ManagedDataSources } from './managed-data-sources.js';
import {
  type AnswerOptions,
  answerOptions,
  answerTimeoutMs,
  DRIFT_LIMIT,
  type DriftQuery,
  driftQuery,
  HISTORY_LIMIT,
  type HistoryAllQuery,
  historyAllQuery,
  type HistoryQuery,
  historyQuery,
  RECENT_LIMIT,
  type RecentRunsQuery,
  recentRunsQuery,
  type StatusAllQuery,
  statusAllQuery,
  type StatusQuery,
  statusQuery,
  type ViewDataSource,
} from './status-queries.js';

/** Refreshes views on demand, controls their refreshing, and tells how they stand. */
export class RefreshService {
  private readonly graph: GraphRefresher<ManagedDataSource>;

  constructor(private readonly sources: ManagedDataSources) {
    this.graph = new GraphRefresher(sources.log, ({ source, view }, options) =>
      this.refresh(viewName(view), { ...options, dataSource: source.name }),
    );
  }

  /**
   * Refreshes one view, at most once at a time in the whole database, and resolves when new rows are
   * committed that contain all that was committed before the call. Callers share refreshes, in this
   * process and others; the result says whether this call `refreshed`, `joined` another or was `skipped`.
   * It runs concurrently with readers when the view is populated and has a usable unique index, and
   * blocks them for its whole run otherwise; the result says which, and why.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws RefreshError one of its subclasses, when the refresh fails, after up to three more attempts
   *   where that may help: the rows stay as they were
   * @throws ReplicasBehindError when it is done, and standbys do not show it in time (`waitForReplicas`)
   * @example
   * ```ts
   * const result = await this.refreshes.refresh(DailyRevenue, { timeout: '30s' });
   * if (result.outcome === 'skipped') { ... }
   * ```
   */
  async refresh(view: ViewTarget, options: SingleRefreshOptions = {}): Promise<RefreshResult> {
    checkOptions('RefreshService.refresh', singleRefresh, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    return source.refresher.refresh(found, options);
  }

  /**
   * Refreshes several views, with what they read or what reads them where `cascade` says so: each once, as soon as
   * all that it depends on is done, also over views that are not among them. No other view is touched. A view
   * that fails leaves out those that depend on it; the others go on.
   *
   * @param views their classes, or `schema.name`
   * @throws UnknownViewError when a view is not registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be; nothing is refreshed
   * @throws DependencyCycleError when views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError after all is done, when a view failed; it carries the report
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
    checkOptions('RefreshService.refreshMany', manyRefreshes, options);
    const targets = this.sources.materialized(options.dataSource, views);
    return this.graph.refresh(targets, graphOptions(options));
  }

  /**
   * Refreshes all registered views, of every data source or of one, in the order of their graph.
   *
   * @throws UnknownViewError when no view is registered in `dataSource`
   * @throws InvalidOptionsError when an option is unknown or not as it must be; nothing is refreshed
   * @throws DependencyCycleError when views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError after all is done, when a view failed; it carries the report
   */
  async refreshAll(options: RefreshAllOptions = {}): Promise<GraphReport> {
    checkOptions('RefreshService.refreshAll', allRefreshes, options);
    return this.graph.refresh(this.sources.materialized(options.dataSource), graphOptions(options));
  }

  /**
   * Runs `work`, and when it has succeeded refreshes the views, in the order of their graph; when it fails,
   * nothing is refreshed. With a transaction as `work` that is after its commit, and not after a rollback.
   * Once the call resolves, each view that the report calls `refreshed` or `joined` has all that `work` wrote.
   * Left out (`skipped`) are views that `minInterval`, `onBusy: 'skip'` or `onPaused: 'skip'` keep from being refreshed.
   * `work` has to be the whole transaction: one that is nested in another is not committed yet when it ends.
   *
   * @param views their classes, or `schema.name`
   * @throws whatever `work` throws
   * @throws UnknownViewError when a view is not registered; `work` was not run
   * @throws InvalidOptionsError when an argument or an option is not as it must be; `work` was not run
   * @throws RefreshCancelledError when the signal is aborted already; `work` was not run
   * @throws DependencyCycleError when views depend on each other in a circle: nothing is refreshed, what `work` wrote is
   *   committed all the same
   * @throws RefreshGraphError when a view failed; what `work` wrote is committed all the same
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
    checkOptions('RefreshService.after', manyRefreshes, options);
    checkAfter(work, views, options);
    views.forEach((view) => this.sources.findMaterialized(view, options.dataSource));
    const value = await work();
    return { value, report: await this.refreshMany(views, options) };
  }

  /**
   * Cancels the refresh of the view that is running, in whatever process. Its caller gets
   * `RefreshCancelledError`, its tick is over, and the view keeps its rows. Requests that wait behind it go on.
   *
   * @param view its class, or `schema.name`
   * @returns whether there was one
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws RefreshError one of its subclasses, when the database cannot be asked
   */
  async cancel(view: ViewTarget, options: DataSourceSelector = {}): Promise<boolean> {
    checkOptions('RefreshService.cancel', dataSourceOptions, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    return source.refresher.control.cancel(found);
  }

  /**
   * Stops refreshing the view by its schedule and because of writes, in all processes and over restarts, until
   * `resume`. It is still refreshed on demand, unless with `onPaused: 'skip'`. A refresh that is running goes on.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws RefreshError one of its subclasses, when that cannot be stored
   */
  async pause(view: ViewTarget, options: DataSourceSelector = {}): Promise<void> {
    checkOptions('RefreshService.pause', dataSourceOptions, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    await source.refresher.control.setPaused(found, true);
  }

  /**
   * Takes `pause` back. One refresh, at the next sweep, makes up for the ticks missed; what was written is found
   * by the next look.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws RefreshError one of its subclasses, when that cannot be stored
   */
  async resume(view: ViewTarget, options: DataSourceSelector = {}): Promise<void> {
    checkOptions('RefreshService.resume', dataSourceOptions, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    await source.refresher.control.setPaused(found, false);
  }

  /**
   * The refreshes of registered views that are running now, in whatever process.
   *
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the database cannot be asked, or does not answer within `timeout` (default 5 s), or is a
   *   standby: the primary alone knows
   */
  async running(options: AnswerOptions = {}): Promise<RunningRefresh[]> {
    checkOptions('RefreshService.running', answerOptions, options);
    const timeoutMs = answerTimeoutMs(options);
    const running = this.sources.all().map(({ refresher }) => refresher.control.running(timeoutMs));
    return (await Promise.all(running)).flat();
  }

  /**
   * The last runs of a view, in all processes, newest first. Of skipped runs it has only ticks that found the view
   * `unchanged`.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the history cannot be read within `timeout` (default 5 s)
   */
  async history(view: ViewTarget, options: HistoryQuery = {}): Promise<RefreshHistoryEntry[]> {
    checkOptions('RefreshService.history', historyQuery, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    const { limit = HISTORY_LIMIT } = options;
    return source.inspector.history(found, { limit, timeoutMs: answerTimeoutMs(options) });
  }

  /**
   * The last runs of all registered views, or of some of them, newest first. It takes one statement for each data source;
   * the next page is what is `olderThan` the last entry.
   *
   * @throws UnknownViewError when the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the history cannot be read within `timeout` (default 5 s)
   */
  async historyAll(options: HistoryAllQuery = {}): Promise<ViewHistoryEntry[]> {
    checkOptions('RefreshService.historyAll', historyAllQuery, options);
    if (options.views !== undefined) {
      checkViews('RefreshService.historyAll', options.views);
    }
    return historyOfAll(this.sources, options);
  }

  /**
   * How the last runs of each registered view went, oldest first, in one statement for each data source.
   *
   * @throws UnknownViewError when no view is registered in `dataSource`
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the history cannot be read within `timeout` (default 5 s)
   */
  async recentRuns(options: RecentRunsQuery = {}): Promise<RecentRuns[]> {
    checkOptions('RefreshService.recentRuns', recentRunsQuery, options);
    const { limit = RECENT_LIMIT } = options;
    const bounds = { limit, timeoutMs: answerTimeoutMs(options) };
    const sources = this.sources.named(options.dataSource);
    return (await Promise.all(sources.map(({ inspector }) => inspector.recentRuns(bounds)))).flat();
  }

  /**
   * How a view stands: its age, its last success and failure, and whether somebody refreshes it now. The call waits
   * for no refresh. A view that is not in the database has a status too.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when it cannot be read within `timeout` (default 5 s)
   */
  async status(view: ViewTarget, options: StatusQuery = {}): Promise<ViewStatus> {
    checkOptions('RefreshService.status', statusQuery, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    return source.inspector.status(found, answerTimeoutMs(options));
  }

  /**
   * The status of all registered views, or of some of them. However many there are, it takes the same few statements for
   * each data source.
   *
   * @throws UnknownViewError when the data source has no views, or one of `views` is not registered
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the status cannot be read within `timeout` (default 5 s)
   */
  async statusAll(options: StatusAllQuery = {}): Promise<ViewStatus[]> {
    checkOptions('RefreshService.statusAll', statusAllQuery, options);
    const { maxAge, views } = options;
    if (views !== undefined) {
      checkViews('RefreshService.statusAll', views);
    }
    const found = views?.map((view) => this.sources.findMaterialized(view, options.dataSource));
    const sources = found?.map(({ source }) => source) ?? this.sources.named(options.dataSource);
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
   * The data sources with materialized views.
   *
   * @throws NotInitializedError before the module has connected to them
   */
  dataSources(): ViewDataSource[] {
    return this.sources
      .all()
      .map(({ name, typeOrm }) => ({ name, database: typeOrm.driver.database ?? '' }));
  }

  /**
   * Compares the rows of a view with what its query gives now, in one snapshot. That costs about as much
   * as a refresh, and for as long takes one of the `poolSize` connections and holds up a blocking refresh.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws ViewMissingError when the database has no such view
   * @throws ViewNotPopulatedError when it has no rows to compare
   * @throws InvalidOptionsError when an option is unknown or not as it must be
   * @throws StatusError when the comparison fails or takes longer than `statementTimeout`
   */
  async drift(view: ViewTarget, options: DriftQuery = {}): Promise<DataDrift> {
    checkOptions('RefreshService.drift', driftQuery, options);
    const { source, view: found } = this.sources.findMaterialized(view, options.dataSource);
    return source.inspector.drift(found, options.limit ?? DRIFT_LIMIT);
  }
}

const isOf =
  (status: ViewStatus) =>
  ({ source, view }: FoundView): boolean =>
    source.name === status.dataSource && viewName(view) === status.view;
