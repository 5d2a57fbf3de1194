import { validateCronExpression } from 'cron';
import { Cron } from 'croner';
import { messageOf } from '../errors/error-message.js';
import { midnightGapsOf } from './midnight-gaps.js';

/**
 * The scheduled times of a cron expression, the same on every replica: all that is done at a scheduled time asks
 * here, also the job that wakes the process up. croner reads the expression; the `cron` package, whose type that job
 * has, computes no previous run, reads day fields in another way and has faults around changes of daylight saving.
 */
export class CronGrid {
  private readonly cron: Cron;
  /** The same for clocks that nobody changes. */
  private readonly local: Cron;

  constructor(
    expression: string,
    private readonly timeZone: string,
  ) {
    this.cron = new Cron(expression, { timezone: timeZone, paused: true });
    this.local = new Cron(expression, { timezone: 'UTC', paused: true });
  }

  /** The last tick at or before `instant`; `undefined` when there never was one. */
  lastTickAt(instant: Date): Date | undefined {
    // croner leaves out a run at the reference itself.
    const last = this.cron.previousRuns(1, new Date(instant.getTime() + 1))[0];
    return this.gapTicks(last ?? instant, instant).at(-1) ?? last;
  }

  /** The first tick after `instant`; `undefined` when there is none any more. */
  nextTickAfter(instant: Date): Date | undefined {
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
    return new CronGrid(expression, timeZone).nextTickAfter(new Date()) === undefined
      ? 'it never matches a date'
      : undefined;
  } catch (error) {
    return messageOf(error);
  }
}
