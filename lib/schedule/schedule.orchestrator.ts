import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { type EarlyTick, isScheduled, type ScheduledView, type TickRunner } from './tick.runner.js';

/** A timer that fires at the times of a view's schedule. */
export interface ScheduledJob {
  /** Whether this process should refresh the view by its schedule. */
  readonly isOn: boolean;
  stop(): void | Promise<void>;
}

/** Starts the timer of a view, which then calls `onTick`. */
export type StartJob = (view: ScheduledView, onTick: () => Promise<void>) => ScheduledJob;

/** Starts and stops the timers that wake the process for ticks, one per view. */
export class ScheduleOrchestrator {
  private readonly jobs = new Map<ViewDefinition, ScheduledJob>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    private readonly ticks: TickRunner,
    private readonly startJob: StartJob,
  ) {}

  /** Call it again when the views change: those that stay keep their timers. */
  start(): void {
    const views = this.context.views.materialized();
    for (const [view, job] of this.jobs) {
      if (!views.includes(view)) {
        this.jobs.delete(view);
        void job.stop();
      }
    }
    for (const view of views.filter(isScheduled)) {
      if (!this.jobs.has(view)) {
        this.jobs.set(
          view,
          this.startJob(view, () => this.wake(view)),
        );
      }
    }
  }

  /** Begins no more ticks. Running ones go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.timers.forEach(clearTimeout);
    this.ticks.stop();
    await Promise.all([...this.jobs.values()].map(async (job) => job.stop()));
  }

  /** The views that this process refreshes by schedule now. */
  readonly scheduled = (): ScheduledView[] => [...this.jobs.keys()].filter(this.isOn);

  private readonly isOn = (view: ViewDefinition): view is ScheduledView =>
    this.jobs.get(view)?.isOn === true;

  private async wake(view: ScheduledView): Promise<void> {
    if (this.isOn(view)) {
      this.whenDue(view, await this.ticks.wake(view));
    }
  }

  /**
   * Attempts a tick again when its time has come. It must be this very tick: this process's clock is ahead and would
   * name a later one, which would be too early again.
   */
  private whenDue(view: ScheduledView, early: EarlyTick | undefined): void {
    // If it is due later than the next sweep, the sweep does it: a clock that is so far ahead can't be
    // trusted.
    if (early !== undefined && early.dueInMs < this.context.options.sweepIntervalMs) {
      this.after(early.dueInMs, async () => {
        if (this.isOn(view)) {
          this.whenDue(view, await this.ticks.share(view, early.tick));
        }
      });
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
