import { checkOptions, objectOf, viewOptions } from '../definition/option-rules.js';
import { allRefreshes, manyRefreshes } from '../refresh/graph-options.js';
import { singleRefresh } from '../refresh/refresh-options.js';
import {
  answerOptions,
  driftQuery,
  historyAllQuery,
  historyQuery,
  recentRunsQuery,
  statusAllQuery,
  statusQuery,
} from './status-queries.js';

/** The options that the methods of `RefreshService` take. */
const OPTIONS = {
  refresh: singleRefresh,
  refreshMany: manyRefreshes,
  refreshAll: allRefreshes,
  after: manyRefreshes,
  cancel: viewOptions,
  pause: viewOptions,
  resume: viewOptions,
  running: answerOptions,
  history: historyQuery,
  historyAll: historyAllQuery,
  recentRuns: recentRunsQuery,
  status: statusQuery,
  statusAll: statusAllQuery,
  dataSources: objectOf({}),
  drift: driftQuery,
};

export type RefreshServiceMethod = keyof typeof OPTIONS;

/** @throws InvalidOptionsError if an option of the call is unknown or has a wrong value */
export function checkCallOptions(method: RefreshServiceMethod, options: unknown): void {
  checkOptions(`RefreshService.${method}`, OPTIONS[method], options);
}
