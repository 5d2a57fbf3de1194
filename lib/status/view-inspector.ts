import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { type DataDrift, findDrift } from './data-drift.js';
import type { HistoryFilter } from '../postgres/history-reading.sql.js';
import {
  readHistory,
  readHistoryOfAll,
  readRecentRuns,
  type RecentRuns,
  type RefreshHistoryEntry,
  type ViewHistoryEntry,
} from './refresh-history.js';
import type { ViewStatus } from './view-status.js';
import { readStatuses } from './status-reading.js';

/** Reads the status of one data source's views. Changes nothing. */
export class ViewInspector {
  constructor(private readonly context: DataSourceContext) {}

  async history(
    view: ViewDefinition,
    bounds: { limit: number; timeoutMs: number },
  ): Promise<RefreshHistoryEntry[]> {
    return this.reading('read the history', view, () =>
      readHistory(this.context.database, view.name, bounds),
    );
  }

  async status(view: ViewDefinition, timeoutMs: number): Promise<ViewStatus> {
    return this.reading('read the status', view, async () => {
      const [status] = await readStatuses(this.context, [view], timeoutMs);
      if (status === undefined) {
        throw new Error('the query gave no row');
      }
      return status;
    });
  }

  async statusAll(timeoutMs: number): Promise<ViewStatus[]> {
    return this.readingAll('status', (views) => readStatuses(this.context, views, timeoutMs));
  }

  async historyOfAll(
    views: readonly ViewDefinition[],
    bounds: { filter: HistoryFilter; limit: number; timeoutMs: number },
  ): Promise<ViewHistoryEntry[]> {
    return this.readingAll('history', () => readHistoryOfAll(this.context, views, bounds));
  }

  async recentRuns(bounds: { limit: number; timeoutMs: number }): Promise<RecentRuns[]> {
    return this.readingAll('last runs', (views) => readRecentRuns(this.context, views, bounds));
  }

  async drift(view: ViewDefinition, limit: number): Promise<DataDrift> {
    const { database, options } = this.context;
    return this.reading('compare the rows', view, () => findDrift(database, view, options, limit));
  }

  private async readingAll<T>(
    what: string,
    work: (views: readonly ViewDefinition[]) => Promise<T>,
  ): Promise<T> {
    const { name, views } = this.context;
    try {
      return await work(views.materialized());
    } catch (cause) {
      throw statusErrorFrom(cause, `read the ${what} of the views of data source "${name}"`);
    }
  }

  private async reading<T>(
    attempt: string,
    view: ViewDefinition,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work();
    } catch (cause) {
      throw statusErrorFrom(cause, attempt, viewName(view));
    }
  }
}
