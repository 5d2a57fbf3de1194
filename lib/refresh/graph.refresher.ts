import type { DataSourceContext, Log } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { DependencyCycleError } from '../errors/schema.errors.js';
import type { RefreshManyOptions } from './graph-options.js';
import { type GraphPlan, planGraph } from './graph-plan.js';
import {
  type GraphReport,
  graphReport,
  graphSummary,
  type GraphViewReport,
} from './graph-report.js';
import { failedView, GraphRun, type GraphRunOptions } from './graph-run.js';
import { RefreshGraphError } from './refresh-graph.error.js';
import { graphChannel, type GraphTrace } from './refresh-events.js';
import type { RefreshResult } from './refresh-result.js';
import type { RefreshCascade } from '../graph/view-graph.js';

/** A view, and its data source. */
export interface GraphTarget<Context extends DataSourceContext = DataSourceContext> {
  source: Context;
  view: ViewDefinition;
}

/** Refreshes one view, with the single-refresh options of the call. */
export type RefreshOne<Context extends DataSourceContext> = (
  target: GraphTarget<Context>,
  options: object,
) => Promise<RefreshResult>;

/** Refreshes several views, of one or more data sources, in the order of their graph. */
export class GraphRefresher<Context extends DataSourceContext> {
  constructor(
    private readonly log: Log,
    private readonly refreshOne: RefreshOne<Context>,
  ) {}

  /**
   * @throws DependencyCycleError if views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError after everything is done, if a view failed
   */
  async refresh(
    targets: readonly GraphTarget<Context>[],
    options: RefreshManyOptions,
  ): Promise<GraphReport> {
    const views = targets.map(({ source, view }) => ({
      view: viewName(view),
      dataSource: source.name,
    }));
    const trace: GraphTrace = { views, cascade: options.cascade };
    return graphChannel.tracePromise(() => this.run(targets, options), trace);
  }

  private async run(
    targets: readonly GraphTarget<Context>[],
    options: RefreshManyOptions,
  ): Promise<GraphReport> {
    const { cascade, throwOnFailure = true, concurrency, ...each } = options;
    const startedAtMs = performance.now();
    const views: GraphViewReport[] = [];
    const onSettled = (view: GraphViewReport): number => views.push(view);
    const plans = await this.plan(targets, cascade, onSettled);
    await Promise.all(
      plans.map(({ source, plan }) => {
        const runOptions: GraphRunOptions = {
          dataSource: source.name,
          concurrency: concurrency ?? source.options.poolSize,
          signal: options.signal,
          refreshOne: (view) => this.refreshOne({ source, view }, each),
          onSettled,
        };
        return new GraphRun(plan, runOptions).execute();
      }),
    );
    const report = graphReport(views, performance.now() - startedAtMs);
    this.conclude(report, throwOnFailure);
    return report;
  }

  /** All plans are made before the first refresh, so that a circle stops everything. */
  private async plan(
    targets: readonly GraphTarget<Context>[],
    cascade: RefreshCascade | undefined,
    onSettled: (view: GraphViewReport) => void,
  ): Promise<{ source: Context; plan: GraphPlan }[]> {
    const sources = [...new Set(targets.map(({ source }) => source))];
    const plans = await Promise.all(
      sources.map(async (source) => {
        const here = targets.filter((each) => each.source === source).map(({ view }) => view);
        try {
          return [{ source, plan: await planGraph(source, { targets: here, cascade }) }];
        } catch (cause) {
          if (cause instanceof DependencyCycleError) {
            throw cause;
          }
          // If one server can't be read, the views of other data sources still go on.
          new Set(here).forEach((view) => onSettled(failedView(source.name, view, cause)));
          return [];
        }
      }),
    );
    return plans.flat();
  }

  private conclude(report: GraphReport, throwOnFailure: boolean): void {
    const { failed, aborted } = report.counts;
    const summary = `Refreshed by graph in ${Math.round(report.durationMs)} ms. ${graphSummary(report)}`;
    if (failed > 0) {
      this.log.error(summary);
    } else if (aborted > 0) {
      this.log.warn(summary);
    } else {
      this.log.log(summary);
    }
    if (throwOnFailure && failed + aborted > 0) {
      throw new RefreshGraphError(report);
    }
  }
}
