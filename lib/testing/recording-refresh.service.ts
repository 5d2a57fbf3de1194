import { randomUUID } from 'node:crypto';
import type { ViewSelector } from '../definition/data-source-selector.js';
import { getViewOptions } from '../definition/definition-metadata.accessor.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import type { ViewTarget } from '../definition/view.registry.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { RefreshService } from '../engine/refresh.service.js';
import type { ViewDataSource } from '../engine/status-queries.js';
import { displayName } from '../postgres/identifier.js';
import type { AfterResult } from '../refresh/after-commit.js';
import type { DataDrift } from '../status/data-drift.js';
import { type GraphReport, graphReport } from '../refresh/graph-report.js';
import type {
  RecentRuns,
  RefreshHistoryEntry,
  ViewHistoryEntry,
} from '../status/refresh-history.js';
import type { RefreshResult } from '../refresh/refresh-result.js';
import type { ViewStatus } from '../status/view-status.js';
import type { RunningRefresh } from '../refresh/refresh.control.js';
import { checkCall, type Call } from './checked-call.js';

/** One call of a method of `RefreshService`. */
export interface RecordedCall {
  method: string;
  /** The views as passed: classes, or `schema.name`. */
  views: ViewTarget[];
  options: object;
}

const SILENT = { error: ignore, warn: ignore, log: ignore, debug: ignore };

/**
 * A `RefreshService` without a database. It records its calls and answers as if each view were fresh and each refresh
 * succeeded at once. It refuses the same options as `RefreshService`. For other answers, replace a method, for
 * example with `jest.spyOn(refreshes, 'refresh')`.
 */
export class RecordingRefreshService extends RefreshService {
  /** All calls, in order. */
  readonly calls: RecordedCall[] = [];

  constructor() {
    super(new ManagedDataSources(SILENT));
  }

  override refresh(view: ViewTarget, options: ViewSelector = {}): Promise<RefreshResult> {
    return this.answer({ method: 'refresh', views: [view], options }, refreshed(view, options));
  }

  override refreshMany(
    views: readonly ViewTarget[],
    options: ViewSelector = {},
  ): Promise<GraphReport> {
    return this.answer({ method: 'refreshMany', views, options }, reportOf(views, options));
  }

  override refreshAll(options: object = {}): Promise<GraphReport> {
    return this.answer({ method: 'refreshAll', views: [], options }, reportOf([], {}));
  }

  override async after<T>(
    work: () => Promise<T>,
    views: readonly ViewTarget[],
    options: ViewSelector = {},
  ): Promise<AfterResult<T>> {
    const call: Call = { method: 'after', views, options };
    checkCall(call);
    const value = await work();
    this.record(call);
    return { value, report: reportOf(views, options) };
  }

  override cancel(view: ViewTarget, options: object = {}): Promise<boolean> {
    return this.answer({ method: 'cancel', views: [view], options }, false);
  }

  override pause(view: ViewTarget, options: object = {}): Promise<void> {
    return this.answer({ method: 'pause', views: [view], options }, undefined);
  }

  override resume(view: ViewTarget, options: object = {}): Promise<void> {
    return this.answer({ method: 'resume', views: [view], options }, undefined);
  }

  override running(options: object = {}): Promise<RunningRefresh[]> {
    return this.answer({ method: 'running', views: [], options }, []);
  }

  override history(view: ViewTarget, options: object = {}): Promise<RefreshHistoryEntry[]> {
    return this.answer({ method: 'history', views: [view], options }, []);
  }

  override historyAll(options: object = {}): Promise<ViewHistoryEntry[]> {
    return this.answer({ method: 'historyAll', views: [], options }, []);
  }

  override recentRuns(options: object = {}): Promise<RecentRuns[]> {
    return this.answer({ method: 'recentRuns', views: [], options }, []);
  }

  override status(view: ViewTarget, options: ViewSelector = {}): Promise<ViewStatus> {
    return this.answer({ method: 'status', views: [view], options }, fresh(view, options));
  }

  override statusAll(options: object = {}): Promise<ViewStatus[]> {
    return this.answer({ method: 'statusAll', views: [], options }, []);
  }

  override dataSources(): ViewDataSource[] {
    this.record({ method: 'dataSources', views: [], options: {} });
    return [];
  }

  override drift(view: ViewTarget, options: ViewSelector = {}): Promise<DataDrift> {
    return this.answer(
      { method: 'drift', views: [view], options },
      {
        view: nameOf(view, options),
        isDrifted: false,
        missingCount: 0,
        extraCount: 0,
        checkedAt: new Date(),
      },
    );
  }

  private async answer<T>(call: Call, value: T): Promise<T> {
    this.record(call);
    return Promise.resolve(value);
  }

  /** @throws InvalidOptionsError */
  private record(call: Call): void {
    checkCall(call);
    this.calls.push({ ...call, views: [...call.views] });
  }
}

function ignore(): void {
  // There is no one to report to.
}

/** As in a data source with the default schema `public`. */
function nameOf(view: ViewTarget, selector: ViewSelector = {}): string {
  if (typeof view === 'string') {
    return view;
  }
  const { schema = 'public', name = view.name } = getViewOptions(view) ?? {};
  return displayName({ schema: selector.schema ?? schema, name });
}

function refreshed(view: ViewTarget, selector: ViewSelector): RefreshResult {
  const now = new Date();
  return {
    view: nameOf(view, selector),
    runId: randomUUID(),
    trigger: 'demand',
    startedAt: now,
    finishedAt: now,
    durationMs: 0,
    outcome: 'refreshed',
    mode: 'concurrently',
    modeReason: 'unique_index',
    attempt: 1,
  };
}

function reportOf(views: readonly ViewTarget[], selector: ViewSelector): GraphReport {
  return graphReport(
    views.map((view) => ({
      view: nameOf(view, selector),
      dataSource: DEFAULT_DATA_SOURCE,
      outcome: 'refreshed',
      result: refreshed(view, selector),
    })),
    0,
  );
}

function fresh(view: ViewTarget, selector: ViewSelector): ViewStatus {
  return {
    view: nameOf(view, selector),
    dataSource: DEFAULT_DATA_SOURCE,
    exists: true,
    isPopulated: true,
    isRefreshing: false,
    isPaused: false,
    failureCount: 0,
    ageMs: 0,
    isStale: false,
    concurrently: { isPossible: true },
    keyMayHaveNulls: false,
  };
}
