import { inspect } from 'node:util';
import { InvalidRefreshOptionsError } from '../errors/usage.errors.js';
import type { RefreshCascade } from './view-graph.js';

/** How many views are refreshed together, beside the options of each single refresh. */
export interface GraphOptions {
  /**
   * Views that are refreshed at a time, in each data source. More than the module's `poolSize` brings
   * nothing: each refresh has a connection of its own.
   * @default the module's `poolSize`
   */
  concurrency?: number;
  /**
   * Whether a `RefreshGraphError` is thrown, after all is done, when a view failed or was not begun;
   * `false` only reports it.
   * @default true
   */
  throwOnFailure?: boolean;
  /** Once it is aborted, the refreshes that are running are cancelled, and no further view is begun. */
  signal?: AbortSignal;
}

export interface CascadeOptions extends GraphOptions {
  cascade?: RefreshCascade;
  dataSource?: string;
}

/** The names of all of these. */
export const GRAPH_OPTIONS = ['cascade', 'concurrency', 'throwOnFailure'];

/** @throws InvalidRefreshOptionsError when an option is not as it must be */
export function checkGraphOptions(options: CascadeOptions): void {
  const { cascade, concurrency, throwOnFailure } = options;
  if (cascade !== undefined && !['dependencies', 'dependents', 'both'].includes(cascade)) {
    throw refused('cascade', "'dependencies', 'dependents' or 'both'", cascade);
  }
  if (concurrency !== undefined && !(Number.isSafeInteger(concurrency) && concurrency >= 1)) {
    throw refused('concurrency', 'a whole number from 1 on', concurrency);
  }
  if (throwOnFailure !== undefined && typeof throwOnFailure !== 'boolean') {
    throw refused('throwOnFailure', 'true or false', throwOnFailure);
  }
}

function refused(option: string, expected: string, given: unknown): InvalidRefreshOptionsError {
  return new InvalidRefreshOptionsError(
    `RefreshService: expected \`${option}\` to be ${expected}, got ${inspect(given)}.`,
  );
}
