import { inspect } from 'node:util';
import { StatusError } from '../errors/status.errors.js';

const MAX_LIMIT = 1_000;
export const HISTORY_LIMIT = 50;
export const DRIFT_LIMIT = 100;

export interface StatusQuery {
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

export interface StatusAllQuery {
  /** The one data source whose views are asked for. @default all */
  dataSource?: string;
}

export interface HistoryQuery extends StatusQuery {
  /** Runs at the most, up to 1,000. @default 50 */
  limit?: number;
}

export interface DriftQuery extends StatusQuery {
  /** Keys in the sample at the most, each way, up to 1,000. @default 100 */
  limit?: number;
}

/** A value that is not known must not pass for the default. */
export function checkOptions(method: string, options: StatusQuery): void {
  if (typeof options !== 'object' || options === null) {
    throw refused(method, 'the options', 'an object', options);
  }
  const { dataSource } = options;
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw refused(method, '`dataSource`', 'the name of a data source', dataSource);
  }
}

export function checkedLimit(method: string, options: HistoryQuery, defaultLimit: number): number {
  checkOptions(method, options);
  const { limit = defaultLimit } = options;
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw refused(method, '`limit`', `a whole number from 1 to ${MAX_LIMIT}`, limit);
  }
  return limit;
}

function refused(method: string, name: string, expected: string, given: unknown): StatusError {
  return new StatusError(
    `RefreshService.${method}: expected ${name} to be ${expected}, got ${inspect(given)}.`,
  );
}
