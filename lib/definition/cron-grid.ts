import { validateCronExpression } from 'cron';
import { Cron } from 'croner';
import { messageOf } from '../errors/error-message.js';
import { midnightGapsOf } from './midnight-gaps.js';

const GRIDS = new Map<string, CronGrid>();

/** The next tick, and the two after the last success of a view, which views with one schedule mostly have in common. */
const STRETCH_COUNT = 8;
/** The scheduled times of a view, the same in every process. */
export interface TickGrid {
  /** The last tick at or before `instant`; `undefined` when there never was one. */
  lastTickAt(instant: Date): Date | undefined;
  /** The first tick after `instant`; `undefined` when there is none any more. */
  nextTickAfter(instant: Date): Date | undefined;
}

/**
 * The scheduled times of a cron expression, the same on every replica: all that is done at a scheduled time asks
 * here, also the job that wakes the process up. croner reads the expression; the `cron` package, whose type that job
 * has, computes no previous run, reads day fields in another way and has faults around changes of daylight saving.
 */
export class CronGrid implements TickGrid {
  private readonly cron: Cron;
  /** The same for clocks that nobody changes. */
  private readonly local: Cron;
  /** Stretches of time that end with a tick and have no other, the last asked for at the end. */
  private readonly stretches: { fromMs: number; tickMs: number }[] = [];

  constructor(
    expression: string,
    private readonly timeZone: string,
  ) {
    this.cron = new Cron(expression, { timezone: timeZone, paused: true });
    this.local = new Cron(expression, { timezone: 'UTC', paused: true });
  }

  lastTickAt(instant: Date): Date | undefined {
    // croner leaves out a run at the reference itself.
    const last = this.cron.previousRuns(1, new Date(instant.getTime() + 1))[0];
    return this.gapTicks(last ?? instant, instant).at(-1) ?? last;
  }

  /** The grid of a schedule: views with the same one share it, and what it remembers. */
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

  /** To find a tick takes croner 0.1 ms, which is much for a page of 500 views that is read once a second. */
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
   * Ticks that croner has not, after the one instant and up to the other: what falls into a gap is due at its end, but
   * where that is on another day croner leaves it out.
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

/** Says what is wrong with a schedule, or `undefined`. `cron` has to take it too, which the job in the `SchedulerRegistry` comes from. */
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
