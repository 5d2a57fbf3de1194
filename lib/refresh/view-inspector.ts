import { Inject, Injectable } from '@nestjs/common';
import { inspect } from 'node:util';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry, type ViewTarget } from '../definition/definition.registry.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { statusErrorFrom } from '../errors/status-error.factory.js';
import { StatusError } from '../errors/status.errors.js';
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

/** Reads how views stand. Nothing here changes anything. */
@Injectable()
export class ViewInspector {
  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
  ) {}

  async history(view: ViewTarget, options: HistoryQuery = {}): Promise<RefreshHistoryEntry[]> {
    const limit = checkedLimit('history', options, HISTORY_LIMIT);
    return this.reading('read the history', this.find('history', view, options), (definition) =>
      readHistory(this.databaseOf(definition), definition.name, limit),
    );
  }

  async status(view: ViewTarget, options: StatusQuery = {}): Promise<ViewRefreshStatus> {
    return this.reading('read the status', this.find('status', view, options), async (found) => {
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
    checkOptions('statusAll', options);
    const known = this.definitions.dataSourceNames();
    const { dataSource } = options;
    if (dataSource !== undefined && !known.includes(dataSource)) {
      throw refused(
        'statusAll',
        '`dataSource`',
        `one that has views (${known.join(', ')})`,
        dataSource,
      );
    }
    const names = dataSource === undefined ? known : [dataSource];
    const statuses = await Promise.all(names.map((name) => this.statusesOf(name)));
    return statuses.flat();
  }

  async drift(view: ViewTarget, options: DriftQuery = {}): Promise<DataDrift> {
    const limit = checkedLimit('drift', options, DRIFT_LIMIT);
    return this.reading('compare the rows', this.find('drift', view, options), (definition) =>
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

  private find(method: string, view: ViewTarget, options: StatusQuery): ViewDefinition {
    checkOptions(method, options);
    return this.definitions.get(view, options.dataSource);
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

/** A value that is not known must not pass for the default. */
function checkOptions(method: string, options: StatusQuery): void {
  if (typeof options !== 'object' || options === null) {
    throw refused(method, 'the options', 'an object', options);
  }
  const { dataSource } = options;
  if (dataSource !== undefined && typeof dataSource !== 'string') {
    throw refused(method, '`dataSource`', 'the name of a data source', dataSource);
  }
}

function checkedLimit(method: string, options: HistoryQuery, defaultLimit: number): number {
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
