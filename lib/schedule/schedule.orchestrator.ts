import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { Rest } from './rest.js';
import {
  type EarlyTick,
  isScheduled,
  type ScheduledView,
  type SweptViews,
  type TickRunner,
} from './tick.runner.js';

/** Sweeps of different processes drift apart, so that they do not all look at the same moment. */
const SWEEP_JITTER = 0.5;

/** A timer that fires at the times of a view's schedule. */
export interface ScheduledJob {
  /** Whether this process is to refresh the view by its schedule. */
  readonly isOn: boolean;
  stop(): void | Promise<void>;
}

/** Starts the timer of a view, which then calls `onTick`. */
export type StartJob = (view: ScheduledView, onTick: () => Promise<void>) => ScheduledJob;

/** Starts and stops what wakes the process up: a timer for each view, and the sweep. */
export class ScheduleOrchestrator {
  private readonly jobs = new Map<ViewDefinition, ScheduledJob>();
  /** In which a sweep would find nothing. */
  private readonly rest = new Rest();
  private readonly timers = new Set<NodeJS.Timeout>();
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    private readonly ticks: TickRunner,
    private readonly startJob: StartJob,
  ) {}

  start(): void {
    const views = this.context.views.materialized();
    for (const view of views.filter(isScheduled)) {
      this.jobs.set(
        view,
        this.startJob(view, () => this.wake(view)),
      );
    }
    const swept = views.filter(isSwept);
    if (swept.length > 0) {
      this.scheduleSweep(swept);
    }
  }

  /** Begins no more ticks and sweeps. Those under way go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timers.forEach(clearTimeout);
    await Promise.all([...this.jobs.values()].map(async (job) => job.stop()));
  }

  private readonly isOn = (view: ViewDefinition): view is ScheduledView =>
    this.jobs.get(view)?.isOn === true;

  private async wake(view: ScheduledView): Promise<void> {
    if (this.isOn(view)) {
      this.whenDue(view, await this.ticks.wake(view));
    }
  }

  /**
   * Attempts a tick again when its time has come. That very tick, and not the last one by then: this process's clock
   * is ahead, and would name a later one, which would be too early again.
   */
  private whenDue(view: ScheduledView, early: EarlyTick | undefined): void {
    // If it is due later than the next sweep, the sweep does it: a clock so far ahead cannot be trusted.
    if (early !== undefined && early.dueInMs < this.context.options.sweepIntervalMs) {
      this.after(early.dueInMs, async () => {
        if (this.isOn(view)) {
          this.whenDue(view, await this.ticks.attempt(view, early.tick));
        }
      });
    }
  }

  /** Each time it is decided again whether there may be something to find: if not, nothing is sent. */
  private scheduleSweep(views: ViewDefinition[]): void {
    const { sweepIntervalMs } = this.context.options;
    const delayMs = sweepIntervalMs * (1 - SWEEP_JITTER * Math.random());
    this.after(delayMs, async () => {
      const scheduled = views.filter(this.isOn);
      if (this.rest.isOver(scheduled)) {
        await this.sweep({ watched: views, scheduled });
      }
      this.scheduleSweep(views);
    });
  }

  private async sweep(views: SweptViews): Promise<void> {
    try {
      this.rest.begin(await this.ticks.sweep(views), views.scheduled);
    } catch (error) {
      if (!this.isStopped) {
        this.context.log.warn(
          `Could not check for due refreshes in data source "${this.context.name}"; the next check is in ${this.context.options.sweepIntervalMs} ms at the latest: ${messageOf(error)}`,
        );
      }
    }
  }

  private after(delayMs: number, work: () => Promise<void>): void {
    if (this.isStopped) {
      return;
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      void work();
    }, delayMs).unref();
    this.timers.add(timer);
  }
}

/** A view with a schedule may have missed a tick, and one with `maxStaleness` may have become stale. */
function isSwept({ schedule, freshness }: ViewDefinition): boolean {
  return schedule !== undefined || freshness?.maxStalenessMs !== undefined;
}
