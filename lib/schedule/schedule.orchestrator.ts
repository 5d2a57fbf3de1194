import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { type EarlyTick, isScheduled, type ScheduledView, type TickRunner } from './tick.runner.js';

/** Sweeps of different processes drift apart, so that they do not all look at the same moment. */
const SWEEP_JITTER = 0.5;

/** A timer that fires at the times of a view's schedule. */
export interface ScheduledJob {
  stop(): void | Promise<void>;
}

/** Starts the timer of a view, which then calls `onTick`. */
export type StartJob = (view: ScheduledView, onTick: () => Promise<void>) => ScheduledJob;

/** Starts and stops what wakes the process up: a timer for each view, and the sweep. */
export class ScheduleOrchestrator {
  private readonly jobs: ScheduledJob[] = [];
  private readonly timers = new Set<NodeJS.Timeout>();
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    private readonly ticks: TickRunner,
    private readonly startJob: StartJob,
  ) {}

  start(): void {
    const views = this.context.views.all();
    for (const view of views.filter(isScheduled)) {
      this.jobs.push(this.startJob(view, () => this.wake(view)));
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
    await Promise.all(this.jobs.map(async (job) => job.stop()));
  }

  private async wake(view: ScheduledView): Promise<void> {
    this.whenDue(view, await this.ticks.wake(view));
  }

  /**
   * Attempts a tick again when its time has come. That very tick, and not the last one by then: this process's clock
   * is ahead, and would name a later one, which would be too early again.
   */
  private whenDue(view: ScheduledView, early: EarlyTick | undefined): void {
    // If it is due later than the next sweep, the sweep does it: a clock so far ahead cannot be trusted.
    if (early !== undefined && early.dueInMs < this.context.options.sweepIntervalMs) {
      this.after(early.dueInMs, async () => {
        this.whenDue(view, await this.ticks.attempt(view, early.tick));
      });
    }
  }

  private scheduleSweep(views: ViewDefinition[]): void {
    const { sweepIntervalMs } = this.context.options;
    const delayMs = sweepIntervalMs * (1 - SWEEP_JITTER * Math.random());
    this.after(delayMs, async () => {
      try {
        await this.ticks.sweep(views);
      } catch (error) {
        if (!this.isStopped) {
          this.context.log.warn(
            `Could not look for due refreshes in data source "${this.context.name}"; the next look is in ${sweepIntervalMs} ms at the latest: ${messageOf(error)}`,
          );
        }
      } finally {
        this.scheduleSweep(views);
      }
    });
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
