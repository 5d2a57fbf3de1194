import { Inject, Injectable } from '@nestjs/common';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { CallerRefresh } from './caller.refresh.js';
import { DemandQueue } from './demand.queue.js';
import { RefreshControl, type RunningRefresh } from './refresh.control.js';
import {
  checkRefreshOptions,
  type RefreshOptions,
  resolveRefreshOptions,
} from './refresh-options.js';
import type { RefreshResult } from './refresh-result.js';

/** Which of several data sources a view is meant in. */
export interface ViewOptions {
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

/** Refreshes views on demand, and controls their refreshing. */
@Injectable()
export class RefreshService {
  constructor(
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(DemandQueue) private readonly demands: DemandQueue,
    @Inject(CallerRefresh) private readonly callerRefresh: CallerRefresh,
    @Inject(RefreshControl) private readonly control: RefreshControl,
  ) {}

  /**
   * Refreshes one view, at most once at a time in the whole database, and resolves when new rows are
   * committed that contain all that was committed before the call. Callers share refreshes, in this
   * process and others; the result says whether this call `refreshed`, `joined` another or was `skipped`.
   * It runs concurrently with readers when the view is populated and has a usable unique index, and
   * blocks them for its whole run otherwise; the result says which, and why.
   *
   * @param view its class, or `schema.name`
   * @throws UnknownViewError when no such view is registered
   * @throws InvalidRefreshOptionsError when an option is unknown or not as it must be
   * @throws RefreshError one of its subclasses, when the refresh fails, after up to three more attempts
   *   where that may help: the rows stay as they were
   * @example
   * ```ts
   * const result = await this.refreshes.refresh(DailyRevenue, { timeout: '30s' });
   * if (result.outcome === 'skipped') { ... }
   * ```
   */
  async refresh(view: ViewTarget, options: RefreshOptions = {}): Promise<RefreshResult> {
    checkRefreshOptions(options);
    const definition = this.definitions.get(view, options.dataSource);
    const checked = resolveRefreshOptions(definition, options);
    return options.manager === undefined
      ? this.demands.refresh(definition, checked)
      : this.callerRefresh.refresh(definition, checked, options);
  }

  /**
   * Cancels the refresh of the view that is running, in whatever process. Its caller gets
   * `RefreshCancelledError`, its tick is not tried again, and the view keeps its rows. Requests that
   * wait behind it go on.
   *
   * @returns whether there was one
   * @throws UnknownViewError when no such view is registered
   */
  async cancel(view: ViewTarget, { dataSource }: ViewOptions = {}): Promise<boolean> {
    return this.control.cancel(this.definitions.get(view, dataSource));
  }

  /**
   * Stops scheduled refreshing of the view, in all processes and over restarts, until `resume`. It is
   * still refreshed on demand, unless that is asked for with `onPaused: 'skip'`. One that is running goes on.
   *
   * @throws UnknownViewError when no such view is registered
   */
  async pause(view: ViewTarget, { dataSource }: ViewOptions = {}): Promise<void> {
    await this.control.setPaused(this.definitions.get(view, dataSource), true);
  }

  /**
   * Takes `pause` back. Ticks missed meanwhile are made good by one refresh, at the next sweep.
   *
   * @throws UnknownViewError when no such view is registered
   */
  async resume(view: ViewTarget, { dataSource }: ViewOptions = {}): Promise<void> {
    await this.control.setPaused(this.definitions.get(view, dataSource), false);
  }

  /** The refreshes of registered views that are running now, in whatever process. */
  async running(): Promise<RunningRefresh[]> {
    return this.control.running();
  }
}
