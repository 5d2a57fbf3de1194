import { validateCronExpression } from 'cron';
import { Cron } from 'croner';
import { messageOf } from '../errors/error-message.js';
import { midnightGapsOf } from './midnight-gaps.js';

const GRIDS = new Map<string, CronGrid>();

/** The next tick, and the two after a view's last success: views with the same schedule mostly share them. */
const STRETCH_COUNT = 8;

/** The scheduled times of a view, the same in every process. */
export interface TickGrid {
  /** The last tick at or before `instant`; `undefined` if there never was one. */
  lastTickAt(instant: Date): Date | undefined;
  /** The first tick after `instant`; `undefined` if there are no more. */
  nextTickAfter(instant: Date): Date | undefined;
}

/**
 * The scheduled times of a cron expression, the same on every replica. Everything that needs a scheduled time uses
 * this, including the job that wakes the process. croner reads the expression. The `cron` package, whose type that
 * job has, can't compute previous runs, reads day fields differently and has bugs around changes of daylight saving
 * time.
 */
export class CronGrid implements TickGrid {
  private readonly cron: Cron;
  /** The same for a time zone without clock changes. */
  private readonly local: Cron;
  /** Intervals that end with a tick and contain no other, the most recently used last. */
  private readonly stretches: { fromMs: number; tickMs: number }[] = [];
  /** From the last tick that was asked for until the next one. */
  private lastTick?: { tickMs: number; untilMs: number };

  constructor(
    expression: string,
    private readonly timeZone: string,
  ) {
    this.cron = new Cron(expression, { timezone: timeZone, paused: true });
    this.local = new Cron(expression, { timezone: 'UTC', paused: true });
  }

  lastTickAt(instant: Date): Date | undefined {
    const atMs = instant.getTime();
    if (this.lastTick && this.lastTick.tickMs <= atMs && atMs < this.lastTick.untilMs) {
      return new Date(this.lastTick.tickMs);
    }
    const tick = this.findTickAt(instant);
    this.lastTick = tick && {
      tickMs: tick.getTime(),
      untilMs: this.nextTickAfter(tick)?.getTime() ?? Infinity,
    };
    return tick;
  }

  private findTickAt(instant: Date): Date | undefined {
    // croner leaves out a run at the reference itself.
    const last = this.cron.previousRuns(1, new Date(instant.getTime() + 1))[0];
    return this.gapTicks(last ?? instant, instant).at(-1) ?? last;
  }

  /** The grid of a schedule. Views with the same schedule share it and its cache. */
  static of(expression: string, timeZone: string): CronGrid {
    const key = `${timeZone} ${expression}`;
    const grid = GRIDS.get(key) ?? new CronGrid(expression, timeZone);
    GRIDS.set(key, grid);
    return grid;
  }

  nextTickAfter(instant: Date): Date | undefined {
    const atMs = instant.getTime();
    const known = this.stretches.find(({ fromMs, tickMs }) => fromMs <= atMs && atMs < tickMs);
    if (known !== undefined) {
      return new Date(known.tickMs);
    }
    const tick = this.findTickAfter(instant);
    if (tick !== undefined) {
      this.remember(atMs, tick.getTime());
    }
    return tick;
  }

  /**
   * croner needs 0.1 ms to find a tick, which is too much for a page of 500 views that is read once a second.
   */
  private remember(fromMs: number, tickMs: number): void {
    const same = this.stretches.find((each) => each.tickMs === tickMs);
    if (same !== undefined) {
      same.fromMs = Math.min(same.fromMs, fromMs);
      return;
    }
    this.stretches.push({ fromMs, tickMs });
    if (this.stretches.length > STRETCH_COUNT) {
      this.stretches.shift();
    }
  }

  private findTickAfter(instant: Date): Date | undefined {
    const next = this.cron.nextRun(instant) ?? undefined;
    const [missed] = next ? this.gapTicks(instant, new Date(next.getTime() - 1)) : [];
    return missed ?? next;
  }

  /**
   * Ticks between two times that croner misses: a tick in a gap is due at its end, but croner leaves it out if that is
   * on another day.
   */
  private gapTicks(after: Date, until: Date): Date[] {
    const years = until.getUTCFullYear() - after.getUTCFullYear() + 1;
    return Array.from({ length: years }, (_, year) => after.getUTCFullYear() + year)
      .flatMap((year) => midnightGapsOf(this.timeZone, year))
      .filter(({ atMs }) => atMs > after.getTime() && atMs <= until.getTime())
      .filter(({ fromMs, toMs }) => {
        const due = this.local.nextRun(new Date(fromMs - 1));
        return due !== null && due.getTime() < toMs;
      })
      .map(({ atMs }) => new Date(atMs));
  }
}

/** Says what is wrong with a time zone, or `undefined`. */
export function timeZoneProblem(timeZone: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return undefined;
  } catch {
    return 'there is none of that name';
  }
}

/**
 * Says what is wrong with a schedule, or `undefined`. `cron` must accept it too, because the job in the `SchedulerRegistry` is one of its
 * jobs.
 */
export function cronProblem(expression: string, timeZone: string): string | undefined {
  const { valid, error } = validateCronExpression(expression);
  if (!valid) {
    return error?.message ?? 'it cannot be read';
  }
  try {
    return CronGrid.of(expression, timeZone).nextTickAfter(new Date()) === undefined
      ? 'it never matches a date'
      : undefined;
  } catch (error) {
    return messageOf(error);
  }
}
