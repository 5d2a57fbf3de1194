import { CronJob, CronTime } from 'cron';
import type { TickGrid } from '../definition/cron-grid.js';
import { viewName } from '../definition/view-definition.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import type { ScheduledView } from '../schedule/tick.runner.js';

type LuxonDateTime = ReturnType<CronTime['getNextDateFrom']>;

/** The grid's scheduled times, as a job of `cron` needs them. */
class GridTime extends CronTime {
  constructor(
    expression: string,
    private readonly zone: string,
    private readonly grid: TickGrid,
  ) {
    super(expression, zone);
  }

  override getNextDateFrom(start: Parameters<CronTime['getNextDateFrom']>[0]): LuxonDateTime {
    const next = this.grid.nextTickAfter(start instanceof Date ? start : start.toJSDate());
    if (next === undefined) {
      throw new Error('the schedule names no date that ever comes');
    }
    // A time built from a date keeps it as a date of the library that `cron` uses, which we don't depend on.
    return (new CronTime(next).source as LuxonDateTime).setZone(this.zone);
  }

  override getTimeout(): number {
    const nowMs = Date.now();
    const next = this.grid.nextTickAfter(new Date(nowMs));
    return next === undefined ? Infinity : next.getTime() - nowMs;
  }
}

/**
 * The job in the `SchedulerRegistry` that wakes the process for a view's ticks. While it is stopped or deleted there,
 * this process doesn't refresh the view by its schedule.
 */
export class RefreshJob extends CronJob {
  private readonly view: string;

  constructor(name: string, view: ScheduledView, onTick: () => Promise<void>) {
    const { cron, timeZone, grid } = view.schedule;
    super(cron, onTick, null, false, timeZone);
    this.view = viewName(view);
    this.name = name;
    this.cronTime = new GridTime(cron, timeZone, grid);
    this.start();
  }

  /**
   * @throws InvalidOptionsError always: other processes follow the schedule that the class declares
   */
  override setTime(): never {
    throw new InvalidOptionsError(
      `The schedule of materialized view "${this.view}" cannot be changed in one process: all processes share its ticks.`,
      {
        view: this.view,
        hint: 'Declare another `refresh.cron`. To refresh the view no more, use RefreshService.pause, or `scheduling: false` for all views of this process.',
      },
    );
  }
}
