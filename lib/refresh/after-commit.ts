import { inspect } from 'node:util';
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
 */
export function checkAfter(work: unknown, views: unknown, { manager }: RefreshOptions): void {
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
}

function refused(name: string, expected: string, given: unknown): InvalidRefreshOptionsError {
  return new InvalidRefreshOptionsError(
    `RefreshService.after: expected ${name} to be ${expected}, got ${inspect(given, { depth: 0 })}.`,
  );
}
