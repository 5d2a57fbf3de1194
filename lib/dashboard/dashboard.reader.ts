import { Inject, Injectable } from '@nestjs/common';
import { RefreshService } from '../engine/refresh.service.js';
import { SchemaService } from '../engine/schema.service.js';
import type { HistoryAllQuery } from '../engine/status-queries.js';
import { messageOf } from '../errors/error-message.js';
import { UnknownViewError } from '../errors/usage.errors.js';
import type { InspectedView } from '../introspection/inspected-view.js';
import type { ViewHistoryEntry } from '../status/refresh-history.js';
import type { ViewStatus } from '../status/view-status.js';
import type { SchemaDifference } from '../schema/schema-difference.js';
import type { Overview, ViewDetails, ViewName } from './readings.js';
import type { RunsFilter } from './runs-filter.js';
import { SharedReadings } from './shared-readings.js';
import { byUrgency } from './view-badges.js';

/** However many pages are open, changing data is read once in this time. */
const LIVE_MS = 1_000;
/** The same for definitions, sizes of indexes and what reads what. */
const CATALOG_MS = 5_000;
/** Comparing definitions takes short locks if they differ. */
const DIFF_MS = 30_000;

/** How many runs a page has. */
export const PAGE_SIZE = 50;
const TICK_COUNT = 5;

/** What the pages show, read through the public services, once for all open pages. */
@Injectable()
export class DashboardReader {
  private readonly shared = new SharedReadings();

  constructor(
    @Inject(RefreshService) private readonly refreshes: RefreshService,
    @Inject(SchemaService) private readonly schema: SchemaService,
  ) {}

  private dataSources(): string[] {
    return this.refreshes.dataSources().map(({ name }) => name);
  }

  /** All views, problems first. If one data source can't be read, the others are still shown. */
  async overview(): Promise<Overview> {
    const parts = await Promise.all(this.dataSources().map((name) => this.overviewOf(name)));
    return {
      views: parts
        .flatMap(({ views }) => views)
        .sort((one, other) => byUrgency(one.status, other.status)),
      failures: parts.flatMap(({ failures }) => failures),
    };
  }

  /** @throws UnknownViewError if there is none of that name */
  async view(name: ViewName): Promise<ViewDetails> {
    const { dataSource, view } = name;
    const [declared] = this.schema.declared({
      views: [view],
      dataSource,
      tickCount: TICK_COUNT,
    });
    const failures: string[] = [];
    const orFailure = <T>(reading: Promise<T>): Promise<T | undefined> =>
      reading.catch((error: unknown) => {
        failures.push(messageOf(error));
        return undefined;
      });
    const [statuses, runs, catalog, differences] = await Promise.all([
      this.statuses(dataSource),
      this.runs({ views: [view], dataSource, limit: PAGE_SIZE }),
      orFailure(this.catalog(dataSource)),
      orFailure(this.differences(dataSource)),
    ]);
    const status = statuses.find((each) => each.view === view);
    if (status === undefined) {
      throw new UnknownViewError(`The database returned no status of "${view}".`, { view });
    }
    return {
      status,
      declared,
      runs,
      inspected: catalog?.find((each) => each.view === view),
      differences: differences?.filter((each) => each.view === view),
      failures,
    };
  }

  private statuses(dataSource: string): Promise<ViewStatus[]> {
    return this.shared.get(`statuses ${dataSource}`, LIVE_MS, () =>
      this.refreshes.statusAll({ dataSource }),
    );
  }

  /** The views that have pages. */
  names(): ViewName[] {
    return this.schema.declared().map(({ dataSource, view }) => ({ dataSource, view }));
  }

  /**
   * One page of the runs of all data sources, or of the views of one name.
   *
   * @throws UnknownViewError if there is no view with that name
   */
  page({ view, outcome, ...others }: RunsFilter): Promise<ViewHistoryEntry[]> {
    const views = view === undefined ? undefined : [view];
    const outcomes = outcome === undefined ? undefined : [outcome];
    return this.runs({ ...others, views, outcomes, limit: PAGE_SIZE });
  }

  private runs(query: HistoryAllQuery): Promise<ViewHistoryEntry[]> {
    return this.shared.get(`runs ${JSON.stringify(query)}`, LIVE_MS, () =>
      this.refreshes.historyAll(query),
    );
  }

  /** The catalogs of all data sources. */
  async catalogs(): Promise<InspectedView[]> {
    return (await Promise.all(this.dataSources().map((name) => this.catalog(name)))).flat();
  }

  private catalog(dataSource: string): Promise<InspectedView[]> {
    return this.shared.get(`catalog ${dataSource}`, CATALOG_MS, () =>
      this.schema.inspect({ dataSource }),
    );
  }

  /** After an action, the next page shows the new state. */
  forget(): void {
    this.shared.clear();
  }

  private differences(dataSource: string): Promise<SchemaDifference[]> {
    return this.shared.get(`differences ${dataSource}`, DIFF_MS, () =>
      this.schema.diff({ dataSource }),
    );
  }

  private async overviewOf(dataSource: string): Promise<Overview> {
    try {
      const [statuses, recent] = await Promise.all([
        this.statuses(dataSource),
        this.shared.get(`recent ${dataSource}`, LIVE_MS, () =>
          this.refreshes.recentRuns({ dataSource }),
        ),
      ]);
      const declared = new Map(
        this.schema.declared({ dataSource }).map((each) => [each.view, each]),
      );
      const runs = new Map(recent.map((each) => [each.view, each.runs]));
      const views = statuses.map((status) => ({
        status,
        declared: declared.get(status.view),
        runs: runs.get(status.view) ?? [],
      }));
      return { views, failures: [] };
    } catch (error) {
      return { views: [], failures: [{ dataSource, message: messageOf(error) }] };
    }
  }
}
