import type { ViewDefinition } from '../definition/view-definition.js';

/** A tick may start up to 250 ms early; no schedule is finer than a second. */
const EARLY_START_MS = 500;

/** What is known about a view's rows. */
export interface RowsAge {
  /** The start of the refresh that produced them. */
  since: Date;
  /** How long refreshes take; 0 if unknown. */
  meanDurationMs: number;
}

/**
 * How old the rows may be before they are stale, in milliseconds; `undefined` for a view without a
 * limit or schedule.
 *
 * By its schedule, a view is stale when two ticks have come since its rows were computed and there was
 * time to do the second: one that fails, or falls into a longer refresh, is made up for before the
 * next. Ticks are counted instead of twice an interval, so that a schedule for working hours isn't
 * stale every Monday.
 *
 * @param explicitMs the declared limit, which replaces the schedule's
 */
export function maxStalenessOf(
  { schedule }: Pick<ViewDefinition, 'schedule'>,
  { since, meanDurationMs }: RowsAge,
  explicitMs?: number,
): number | undefined {
  if (explicitMs !== undefined || schedule === undefined) {
    return explicitMs;
  }
  const { grid } = schedule;
  const first = grid.nextTickAfter(new Date(since.getTime() + EARLY_START_MS));
  const second = first && grid.nextTickAfter(first);
  return second && second.getTime() - since.getTime() + meanDurationMs;
}
