import { checkOptions, dataSourceOptions, objectOf } from '../definition/option-rules.js';
import type { ViewTarget } from '../definition/view.registry.js';
import {
  answerOptions,
  driftQuery,
  historyAllQuery,
  historyQuery,
  recentRunsQuery,
  statusAllQuery,
  statusQuery,
} from '../engine/status-queries.js';
import { allRefreshes, manyRefreshes } from '../refresh/graph-options.js';
import { singleRefresh } from '../refresh/refresh-options.js';

/** The options that the methods of `RefreshService` take. */
const OPTIONS = {
  refresh: singleRefresh,
  refreshMany: manyRefreshes,
  refreshAll: allRefreshes,
  after: manyRefreshes,
  cancel: dataSourceOptions,
  pause: dataSourceOptions,
  resume: dataSourceOptions,
  running: answerOptions,
  history: historyQuery,
  historyAll: historyAllQuery,
  recentRuns: recentRunsQuery,
  status: statusQuery,
  statusAll: statusAllQuery,
  dataSources: objectOf({}),
  drift: driftQuery,
};

/** A call of a method of `RefreshService`. */
export interface Call {
  method: keyof typeof OPTIONS;
  views: readonly ViewTarget[];
  options: object;
}

/**
 * Checks the options as the method itself does, except for `manager`: in a test without a database it has no transaction,
 * or is a stand-in.
 *
 * @throws InvalidOptionsError
 */
export function checkCall({ method, options }: Call): void {
  const hasManager = (options as { manager?: unknown } | null)?.manager !== undefined;
  const checked = hasManager ? { ...options, manager: undefined } : options;
  checkOptions(`RefreshService.${method}`, OPTIONS[method], checked);
}
