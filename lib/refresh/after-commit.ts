import { checkOptions, matching, objectOf } from '../definition/option-rules.js';
import { RefreshCancelledError } from '../errors/refresh.errors.js';
import type { GraphReport } from './graph-report.js';
import type { RefreshOptions } from './refresh-options.js';

/** What the work returned, and the outcome of the refreshes after it. */
export interface AfterResult<T> {
  value: T;
  report: GraphReport;
}

const aList = matching('a list of classes or names, as in `[DailyRevenue]`', Array.isArray);

const viewsRules = objectOf<{ views: unknown }>({ views: aList }, ['views']);

/** @throws InvalidOptionsError if it isn't a list of views */
export function checkViews(caller: string, views: unknown): void {
  checkOptions(caller, viewsRules, { views });
}

interface AfterArguments extends Pick<RefreshOptions, 'manager'> {
  work: unknown;
  views: unknown;
}

const afterRules = objectOf<AfterArguments>(
  {
    work: matching(
      'a function that runs a transaction, as in `() => dataSource.transaction(...)`',
      (value) => typeof value === 'function',
    ),
    views: aList,
    manager: matching(
      'absent: the views are refreshed when its transaction is over',
      (value) => value === undefined,
    ),
  },
  ['work', 'views'],
);

/**
 * Checks the arguments of `RefreshService.after` before the work runs: afterwards its writes are committed.
 *
 * @throws InvalidOptionsError if an argument is wrong
 * @throws RefreshCancelledError if the signal is already aborted
 */
export function checkAfter(
  work: unknown,
  views: unknown,
  { manager, signal }: RefreshOptions,
): void {
  checkOptions('RefreshService.after', afterRules, { work, views, manager });
  if (signal?.aborted) {
    throw new RefreshCancelledError(
      'RefreshService.after: the signal was aborted before the work began. It was not run, and no view was refreshed.',
      { cause: signal.reason },
    );
  }
}
