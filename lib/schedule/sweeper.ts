import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { RareWarning } from './rare-warning.js';
import { Rest } from './rest.js';
import type { ScheduledView, SweptViews, TickRunner } from './tick.runner.js';

/**
 * The sweeps of different processes drift apart, so that they don't all come at the same moment.
 */
const SWEEP_JITTER = 0.5;

/** Sweeps regularly: looks for due ticks that are not done, and for views that have become stale. */
export class Sweeper {
  /** A time in which a sweep would find nothing. */
  private readonly rest = new Rest();
  private timer?: NodeJS.Timeout;
  private isStopped = false;
  private readonly rareWarning: RareWarning;

  constructor(
    private readonly context: DataSourceContext,
    private readonly ticks: TickRunner,
    private readonly views: {
      /** Views that may become stale or have a schedule. */
      watched: ViewDefinition[];
      /** Views that this process refreshes by schedule now. */
      scheduled: () => ScheduledView[];
    },
  ) {
    this.rareWarning = new RareWarning(context.log);
  }

  /** For how long a sweep would find nothing. */
  get restMs(): number {
    return this.rest.leftMs;
  }

  start(firstInMs: number): void {
    if (!this.isStopped) {
      this.timer = setTimeout(() => void this.look(), firstInMs).unref();
    }
  }

  /** Begins no more sweeps. A running one goes on. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** Each time it decides whether something may be due. If not, nothing is sent. */
  private async look(): Promise<void> {
    const { watched, scheduled } = this.views;
    const views = { watched, scheduled: scheduled() };
    if (this.rest.isOver(views.scheduled)) {
      await this.sweep(views);
    }
    this.start(nextSweepInMs(this.context));
  }

  private async sweep(views: SweptViews): Promise<void> {
    try {
      this.rest.begin(await this.ticks.sweep(views), views.scheduled);
    } catch (error) {
      if (!this.isStopped) {
        this.rareWarning.warn(
          `Could not check for due refreshes in data source "${this.context.name}"; the next check is in ${this.context.options.sweepIntervalMs} ms at the latest: ${messageOf(error)}`,
        );
      }
    }
  }
}

/** When to sweep again: processes must not all sweep at the same moment. */
export function nextSweepInMs({ options }: Pick<DataSourceContext, 'options'>): number {
  return options.sweepIntervalMs * (1 - SWEEP_JITTER * Math.random());
}

/** A view with a schedule may have missed a tick, and one with `maxStaleness` may have become stale. */
export function isSwept({ schedule, freshness }: ViewDefinition): boolean {
  return schedule !== undefined || freshness?.maxStalenessMs !== undefined;
}
