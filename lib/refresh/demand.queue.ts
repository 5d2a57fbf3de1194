import type { ViewDefinition } from '../definition/view-definition.js';
import { Demand } from './demand.js';
import type { CheckedRefreshOptions } from './refresh-options.js';
import type { RefreshResult } from './refresh-result.js';
import type { RefreshRunner } from './refresh.runner.js';

/**
 * Refreshes on demand. Callers of the same view share refreshes: in this process, at most one is
 * running and one is waiting, and a refresh by another process serves them too.
 */
export class DemandQueue {
  /** Demands that have not begun, and so serve further callers, by view and options. */
  private readonly open = new Map<ViewDefinition, Map<string, Demand>>();
  private readonly waiting = new Set<Demand>();

  constructor(private readonly runner: RefreshRunner) {}

  /** @throws RefreshError if the refresh fails, or the caller's timeout or signal comes first */
  async refresh(
    definition: ViewDefinition,
    options: CheckedRefreshOptions,
  ): Promise<RefreshResult> {
    const demand =
      options.onBusy === 'join'
        ? this.shared(definition, options)
        : new Demand(this.runner, definition, options, () => undefined);
    this.waiting.add(demand);
    try {
      return await demand.result(options);
    } finally {
      this.waiting.delete(demand);
    }
  }

  /** Ends all waiting: the runner then tells each that it has stopped. */
  refuse(): void {
    this.waiting.forEach((demand) => demand.hurry());
  }

  private shared(definition: ViewDefinition, options: CheckedRefreshOptions): Demand {
    const key = JSON.stringify([options.mode, options.onPaused, options.trigger]);
    const demands = this.open.get(definition) ?? new Map<string, Demand>();
    this.open.set(definition, demands);
    const found = demands.get(key);
    if (found !== undefined) {
      return found;
    }
    const demand = new Demand(this.runner, definition, options, () => {
      if (demands.get(key) === demand) {
        demands.delete(key);
      }
    });
    demands.set(key, demand);
    return demand;
  }
}
