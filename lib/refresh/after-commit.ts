import { inspect } from 'node:util';
import { RefreshCancelledError } from '../errors/refresh.errors.js';
import { InvalidRefreshOptionsError } from '../errors/usage.errors.js';
import type { GraphReport } from './graph-report.js';
import type { RefreshOptions } from './refresh-options.js';

/** What the work returned, and what became of the views afterwards. */
export interface AfterResult<T> {
  value: T;
  report: GraphReport;
}

/**
 * Checks the arguments of `RefreshService.after` before the work runs: afterwards its writes are committed.
 *
 * @throws InvalidRefreshOptionsError when an argument is not as it must be
 * @throws RefreshCancelledError when the signal is aborted already
 */
export function checkAfter(
  work: unknown,
  views: unknown,
  { manager, signal }: RefreshOptions,
): void {
  if (typeof work !== 'function') {
    throw refused(
      'the first argument',
      'a function that runs a transaction, as in `() => dataSource.transaction(...)`',
      work,
    );
  }
  if (!Array.isArray(views)) {
    throw refused('the views', 'a list of classes or names, as in `[DailyRevenue]`', views);
  }
  if (manager !== undefined) {
    throw refused(
      '`manager`',
      'absent: the views are refreshed when its transaction is over',
      manager,
    );
  }
  if (signal?.aborted) {
    throw new RefreshCancelledError(
      'RefreshService.after: the signal was aborted before the work began. It was not run, and no view was refreshed.',
      { cause: signal.reason },
    );
  }
}

function refused(name: string, expected: string, given: unknown): InvalidRefreshOptionsError {
  return new InvalidRefreshOptionsError(
    `RefreshService.after: expected ${name} to be ${expected}, got ${inspect(given, { depth: 0 })}.`,
  );
}
