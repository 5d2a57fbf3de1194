import { Inject, Injectable } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { aCount, aDataSource, checkOptions, objectOf } from '../definition/option-rules.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { type DataDrift, findDrift } from './data-drift.js';
import { readHistory, type RefreshHistoryEntry } from './refresh-history.js';
import type { ViewRefreshStatus } from './refresh-status.js';
import { readStatuses } from './status-reading.js';

const MAX_LIMIT = 1_000;
const HISTORY_LIMIT = 50;
const DRIFT_LIMIT = 100;

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

/** The options that name a view's data source and nothing else. */
export const viewOptions = objectOf<StatusQuery>({ dataSource: aDataSource });

const limitedQuery = objectOf<HistoryQuery>({
  dataSource: aDataSource,
  limit: aCount(1, MAX_LIMIT),
});

/** Reads how views stand. Nothing here changes anything. */
@Injectable()
export class ViewInspector {
  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
  ) {}

  async history(view: ViewTarget, options: HistoryQuery = {}): Promise<RefreshHistoryEntry[]> {
    checkOptions('RefreshService.history', limitedQuery, options);
    const { limit = HISTORY_LIMIT } = options;
    return this.reading('read the history', this.find(view, options), (definition) =>
      readHistory(this.databaseOf(definition), definition.name, limit),
    );
  }

  async status(view: ViewTarget, options: StatusQuery = {}): Promise<ViewRefreshStatus> {
    checkOptions('RefreshService.status', viewOptions, options);
    return this.reading('read the status', this.find(view, options), async (found) => {
      const registered = this.definitions.in(found.dataSourceName);
      const [status] = await readStatuses(this.databaseOf(found), {
        definitions: [found],
        registered,
      });
      if (status === undefined) {
        throw new Error('the query gave no row');
      }
      return status;
    });
  }

  async statusAll(options: StatusAllQuery = {}): Promise<ViewRefreshStatus[]> {
    checkOptions('RefreshService.statusAll', viewOptions, options);
    const views = this.definitions.of(options.dataSource);
    const names = [...new Set(views.map(({ dataSourceName }) => dataSourceName))];
    const statuses = await Promise.all(names.map((name) => this.statusesOf(name)));
    return statuses.flat();
  }

  async drift(view: ViewTarget, options: DriftQuery = {}): Promise<DataDrift> {
    checkOptions('RefreshService.drift', limitedQuery, options);
    const { limit = DRIFT_LIMIT } = options;
    return this.reading('compare the rows', this.find(view, options), (definition) =>
      findDrift(this.databaseOf(definition), definition, this.registrations.options, limit),
    );
  }

  private async statusesOf(dataSourceName: string): Promise<ViewRefreshStatus[]> {
    const definitions = this.definitions.in(dataSourceName);
    try {
      return await readStatuses(this.dataSources.get(dataSourceName), {
        definitions,
        registered: definitions,
      });
    } catch (cause) {
      throw statusErrorFrom(
        cause,
        `read the status of the views of data source "${dataSourceName}"`,
      );
    }
  }

  private find(view: ViewTarget, { dataSource }: StatusQuery): ViewDefinition {
    return this.definitions.get(view, dataSource);
  }

  private databaseOf({ dataSourceName }: ViewDefinition): ReturnType<DataSourceRegistry['get']> {
    return this.dataSources.get(dataSourceName);
  }

  private async reading<T>(
    attempt: string,
    definition: ViewDefinition,
    work: (definition: ViewDefinition) => Promise<T>,
  ): Promise<T> {
    try {
      return await work(definition);
    } catch (cause) {
      throw statusErrorFrom(cause, attempt, viewName(definition));
    }
  }
}
