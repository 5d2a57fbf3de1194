import { Inject, Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { viewName } from '../definition/view-definition.js';
import { RefreshError } from '../errors/refresh.errors.js';
import type { GraphOptions } from './graph-options.js';
import type { GraphReport } from './graph-report.js';
import { GraphRefresher, type RefreshOne } from './graph.refresher.js';
import { demandRequest } from './refresh-request.js';
import type { RefreshResult } from './refresh-result.js';
import { RefreshRunner } from './refresh.runner.js';
import type { RefreshCascade } from './view-graph.js';

export interface RefreshOptions {
  /**
   * What to do when the view is being refreshed already, by whatever process: `skip` returns at once
   * with the outcome `skipped` and the reason `busy`.
   * @default 'skip'
   */
  onBusy?: 'skip';
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

/** Of several views: what holds for all of them together, and the options that each of them gets. */
export interface RefreshAllOptions extends RefreshOptions, GraphOptions {}

export interface RefreshManyOptions extends RefreshAllOptions {
  /**
   * Which registered views are refreshed too, at whatever distance: `dependencies` are those that the
   * named ones read, `dependents` those that read them.
   * @default none
   */
  cascade?: RefreshCascade;
}

/** Refreshes views on demand. */
@Injectable()
export class RefreshService {
  constructor(
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(RefreshRunner) private readonly runner: RefreshRunner,
    @Inject(GraphRefresher) private readonly graph: GraphRefresher,
  ) {}

  /**
   * Refreshes one view, at most once at a time in the whole database, and resolves when the new rows
   * are committed. It runs concurrently with readers when the view is populated and has a usable
   * unique index, and blocks them for its whole run otherwise; the result says which, and why.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws RefreshError one of its subclasses, when the refresh fails: the rows stay as they were
   * @example
   * ```ts
   * const result = await this.refreshes.refresh(DailyRevenue);
   * if (result.outcome === 'skipped') { ... }
   * ```
   */
  refresh(
    view: ViewTarget,
    options?: RefreshOptions & { cascade?: undefined },
  ): Promise<RefreshResult>;

  /**
   * Refreshes several views, or one with what it reads or what reads it: each once, as soon as all that it
   * depends on is done, also over views that are not among them. No other view is touched. A view that
   * fails leaves out those that depend on it; the others go on.
   *
   * @param views their classes, or `schema.name`
   * @throws UnknownViewError when a view is not registered
   * @throws DependencyCycleError when views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError after all is done, when a view failed; it carries the report
   * @example
   * ```ts
   * await this.refreshes.refresh([DailyRevenue, MonthlyRevenue]);
   * await this.refreshes.refresh(DailyRevenue, { cascade: 'dependents' });
   * ```
   */
  refresh(
    views: readonly ViewTarget[] | ViewTarget,
    options: RefreshManyOptions & { cascade: RefreshCascade },
  ): Promise<GraphReport>;
  refresh(views: readonly ViewTarget[], options?: RefreshManyOptions): Promise<GraphReport>;

  async refresh(
    target: ViewTarget | readonly ViewTarget[],
    options: RefreshManyOptions = {},
  ): Promise<RefreshResult | GraphReport> {
    const { dataSource } = checked(options);
    if (isList(target) || options.cascade !== undefined) {
      return this.graph.refresh(isList(target) ? target : [target], options, this.refreshOne);
    }
    return this.runner.run(demandRequest(this.definitions.get(target, dataSource)));
  }

  /**
   * Refreshes all registered views, of every data source or of one, in the order of their graph.
   *
   * @throws UnknownViewError when no view is registered in `dataSource`
   * @throws DependencyCycleError when views depend on each other in a circle; nothing is refreshed
   * @throws RefreshGraphError after all is done, when a view failed; it carries the report
   */
  async refreshAll(options: RefreshAllOptions = {}): Promise<GraphReport> {
    return this.graph.refreshAll(checked(options), this.refreshOne);
  }

  private readonly refreshOne: RefreshOne = (definition, options) =>
    this.refresh(viewName(definition), options);
}

const isList = (target: unknown): target is readonly ViewTarget[] => Array.isArray(target);

/** A value that is not known must not pass for the default. */
function checked(options: RefreshOptions): RefreshOptions {
  if (typeof options !== 'object' || options === null) {
    throw refused('the options', 'an object', options);
  }
  const { onBusy = 'skip', dataSource } = options;
  if (onBusy !== 'skip') {
    throw refused('`onBusy`', "'skip'", onBusy);
  }
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw refused('`dataSource`', 'the name of a data source', dataSource);
  }
  return options;
}

function refused(name: string, expected: string, given: unknown): RefreshError {
  return new RefreshError(
    `RefreshService.refresh: expected ${name} to be ${expected}, got ${inspect(given)}.`,
  );
}
