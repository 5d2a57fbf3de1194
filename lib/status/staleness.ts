import type { ViewDefinition } from '../definition/view-definition.js';

/** A tick may start up to 250 ms before its instant; no grid is finer than a second. */
const EARLY_START_MS = 500;

/** What is known of the rows of a view. */
export interface RowsAge {
  /** The start of the refresh that brought them. */
  since: Date;
  /** How long refreshes take; 0 as long as nobody knows. */
  meanDurationMs: number;
}

/**
 * How old the rows may be before they are stale, in milliseconds; `undefined` for a view that nothing
 * says it of.
 *
 * By its schedule a view is stale when two ticks have come since its rows were computed, and there was
 * time to do the second: one that fails, or falls into a longer refresh, is made up for before the
 * next. Counted on the grid, and not as twice an interval, so that a schedule of working hours is not
 * stale every Monday.
 *
 * @param explicitMs what was declared, which counts instead of the schedule
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
