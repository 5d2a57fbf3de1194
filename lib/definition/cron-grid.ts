import { validateCronExpression } from 'cron';
import { Cron } from 'croner';
import { messageOf } from '../errors/error-message.js';

/**
 * The instants of a cron expression, the same on every replica. croner and not the `cron` package
 * that wakes the process up: the latter passes no scheduled time, computes no previous run and has
 * faults around changes of daylight saving.
 */
export class CronGrid {
  private readonly cron: Cron;

  constructor(expression: string, timeZone: string) {
    this.cron = new Cron(expression, { timezone: timeZone, paused: true });
  }

  /** The last tick at or before `instant`; `undefined` when there never was one. */
  lastTickAt(instant: Date): Date | undefined {
    // croner leaves out a run at the reference itself.
    return this.cron.previousRuns(1, new Date(instant.getTime() + 1))[0];
  }

  /** The first tick after `instant`; `undefined` when there is none any more. */
  nextTickAfter(instant: Date): Date | undefined {
    return this.cron.nextRun(instant) ?? undefined;
  }
}

/** Says what is wrong with a time zone, or `undefined`. */
export function timeZoneProblem(timeZone: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
    return undefined;
  } catch {
    return 'nobody knows it';
  }
}

/** Says what is wrong with a schedule, or `undefined`. Both libraries that read it are asked. */
export function cronProblem(expression: string, timeZone: string): string | undefined {
  const { valid, error } = validateCronExpression(expression);
  if (!valid) {
    return error?.message ?? 'it cannot be read';
  }
  try {
    return new CronGrid(expression, timeZone).nextTickAfter(new Date()) === undefined
      ? 'it names no date that ever comes'
      : undefined;
  } catch (error) {
    return messageOf(error);
  }
}
