import type { HistoryFilter } from '../postgres/history-reading.sql.js';
import type { ViewHistoryEntry } from '../status/refresh-history.js';
import type { ManagedDataSources } from './managed-data-sources.js';
import { answerTimeoutMs, HISTORY_LIMIT, type HistoryAllQuery } from './status-queries.js';

/** Reads each data source once, and merges the runs in one order. */
export async function historyOfAll(
  sources: ManagedDataSources,
  options: HistoryAllQuery,
): Promise<ViewHistoryEntry[]> {
  const { limit = HISTORY_LIMIT } = options;
  const bounds = { filter: filterOf(options), limit, timeoutMs: answerTimeoutMs(options) };
  const targets =
    options.views?.flatMap((view) => sources.findEveryMaterialized(view, options)) ??
    sources.materialized(options);
  const pages = [...new Set(targets.map(({ source }) => source))].map((source) =>
    source.inspector.historyOfAll(
      targets.filter((each) => each.source === source).map(({ view }) => view),
      bounds,
    ),
  );
  return (await Promise.all(pages)).flat().sort(byAge).slice(0, limit);
}

function filterOf({ outcomes, since, until, olderThan }: HistoryAllQuery): HistoryFilter {
  return {
    outcomes: outcomes ?? null,
    since: since?.getTime() ?? null,
    until: until?.getTime() ?? null,
    olderThan:
      olderThan === undefined
        ? null
        : { startedAt: olderThan.startedAt.getTime(), runId: olderThan.runId },
  };
}

/** As the database orders the runs of one data source. */
function byAge(one: ViewHistoryEntry, other: ViewHistoryEntry): number {
  const difference = other.startedAt.getTime() - one.startedAt.getTime();
  return difference || (one.runId < other.runId ? 1 : -1);
}
