import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { refreshErrorFrom } from '../errors/refresh-error.factory.js';
import { type RefreshError, RefreshStoppedError } from '../errors/refresh.errors.js';
import { PoolStopped } from '../postgres/connection-pool.js';
import type { GraphPlan } from './graph-plan.js';
import type { GraphViewReport } from './graph-report.js';
import { RefreshOrder } from './refresh-order.js';
import type { RefreshResult } from './refresh-result.js';

export interface GraphRunOptions {
  /** The data source of these views. */
  dataSource: string;
  concurrency: number;
  signal?: AbortSignal;
  refreshOne: (view: ViewDefinition) => Promise<RefreshResult>;
  /** Called as soon as the outcome for a view is known. */
  onSettled: (report: GraphViewReport) => void;
}

/** One pass over the views of a plan. Each begins as soon as what it depends on is done. */
export class GraphRun {
  private readonly order: RefreshOrder;
  private readonly failed = new Set<string>();
  private readonly running = new Set<Promise<void>>();

  constructor(
    private readonly plan: GraphPlan,
    private readonly options: GraphRunOptions,
  ) {
    this.order = new RefreshOrder(plan.dependencies, plan.durationsMs);
  }

  async execute(): Promise<void> {
    for (;;) {
      this.startReady();
      if (this.running.size === 0) {
        return;
      }
      await Promise.race(this.running);
    }
  }

  private startReady(): void {
    while (this.running.size < this.options.concurrency) {
      const key = this.order.take();
      const view = key === undefined ? undefined : this.plan.views.get(key);
      if (key === undefined || view === undefined) {
        return;
      }
      const running = this.settle(key, view).finally(() => this.running.delete(running));
      this.running.add(running);
    }
  }

  private async settle(key: string, view: ViewDefinition): Promise<void> {
    const report = await this.refresh(key, view);
    if (report.outcome === 'failed') {
      this.failed.add(key);
    }
    this.order.done(key);
    this.options.onSettled(report);
  }

  private async refresh(key: string, definition: ViewDefinition): Promise<GraphViewReport> {
    const { dataSource, signal, refreshOne } = this.options;
    const view = { view: viewName(definition), dataSource };
    if (signal?.aborted) {
      return { ...view, outcome: 'aborted' };
    }
    const failedDependencies = this.failedDependenciesOf(key);
    if (failedDependencies.length > 0) {
      return { ...view, outcome: 'upstream_failed', failedDependencies };
    }
    try {
      const result = await refreshOne(definition);
      return { ...view, outcome: result.outcome, result };
    } catch (cause) {
      return failedView(dataSource, definition, cause);
    }
  }

  private failedDependenciesOf(key: string): string[] {
    const failed = [...(this.plan.dependencies.get(key) ?? [])].filter((each) =>
      this.failed.has(each),
    );
    return failed.flatMap((each) => this.plan.views.get(each) ?? []).map(viewName);
  }
}

/** The report for a view that failed, before or after it began. */
export function failedView(
  dataSource: string,
  definition: ViewDefinition,
  cause: unknown,
): GraphViewReport {
  const view = viewName(definition);
  return {
    view,
    dataSource,
    outcome: 'failed',
    error: errorFrom(cause, view),
  };
}

function errorFrom(cause: unknown, view: string): RefreshError {
  return cause instanceof PoolStopped
    ? RefreshStoppedError.of(view)
    : refreshErrorFrom(cause, { view, isTimeout: false, isOwnStatement: true });
}
