import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { DependencyCycleError } from '../errors/schema.errors.js';
import { ModuleRegistrations } from '../module-registrations.js';
import type { CascadeOptions } from './graph-options.js';
import { type GraphPlan, planGraph } from './graph-plan.js';
import {
  type GraphReport,
  graphReport,
  graphSummary,
  type GraphViewReport,
} from './graph-report.js';
import { failedView, GraphRun, type GraphRunOptions } from './graph-run.js';
import { RefreshGraphError } from './refresh-graph.error.js';
import type { RefreshResult } from './refresh-result.js';
import type { RefreshCascade } from './view-graph.js';

/** Refreshes one view, with the options of a single refresh that all of them were given. */
export type RefreshOne = (view: ViewDefinition, options: object) => Promise<RefreshResult>;

type OnSettled = (report: GraphViewReport) => void;

/** Refreshes several views in the order of their graph. */
@Injectable()
export class GraphRefresher {
  private readonly logger = new Logger('MaterializedViews');

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  async refresh(
    views: readonly ViewTarget[],
    options: CascadeOptions,
    refreshOne: RefreshOne,
  ): Promise<GraphReport> {
    const targets = views.map((view) => this.definitions.get(view, options.dataSource));
    return this.refreshTargets(targets, options, refreshOne);
  }

  async refreshAll(options: CascadeOptions, refreshOne: RefreshOne): Promise<GraphReport> {
    return this.refreshTargets(this.definitions.of(options.dataSource), options, refreshOne);
  }

  private async refreshTargets(
    targets: readonly ViewDefinition[],
    options: CascadeOptions,
    refreshOne: RefreshOne,
  ): Promise<GraphReport> {
    const { cascade, throwOnFailure = true, concurrency = this.concurrency, ...each } = options;
    const startedAtMs = performance.now();
    const views: GraphViewReport[] = [];
    const onSettled: OnSettled = (view) => views.push(view);
    const plans = await this.plan(targets, cascade, onSettled);
    const runOptions: GraphRunOptions = {
      concurrency,
      signal: options.signal,
      refreshOne: (view) => refreshOne(view, { ...each, dataSource: view.dataSourceName }),
      onSettled,
    };
    await Promise.all(plans.map((plan) => new GraphRun(plan, runOptions).execute()));
    const report = graphReport(views, performance.now() - startedAtMs);
    this.conclude(report, throwOnFailure);
    return report;
  }

  private get concurrency(): number {
    return this.registrations.options.poolSize;
  }

  /** All plans before the first refresh, so that a circle stops all of it. */
  private async plan(
    targets: readonly ViewDefinition[],
    cascade: RefreshCascade | undefined,
    onSettled: OnSettled,
  ): Promise<GraphPlan[]> {
    const names = [...new Set(targets.map((view) => view.dataSourceName))];
    const plans = await Promise.all(
      names.map(async (name) => {
        const here = targets.filter((view) => view.dataSourceName === name);
        const registered = this.definitions.in(name);
        const request = { targets: here, cascade, registered };
        try {
          return await planGraph(this.dataSources.get(name), request);
        } catch (cause) {
          if (cause instanceof DependencyCycleError) {
            throw cause;
          }
          // A server that cannot be asked takes none of another data source's views along.
          new Set(here).forEach((view) => onSettled(failedView(view, cause)));
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
      this.logger.error(summary);
    } else if (aborted > 0) {
      this.logger.warn(summary);
    } else {
      this.logger.log(summary);
    }
    if (throwOnFailure && failed + aborted > 0) {
      throw new RefreshGraphError(report);
    }
  }
}
