import type { RefreshService } from '../engine/refresh.service.js';
import type { ViewDataSource } from '../engine/status-queries.js';
import type { ViewStatus } from '../status/view-status.js';
import type { ViewGauge } from './view-gauges.js';

/** One collection, and all that follow shortly after it, read a data source once. */
const MAX_AGE = '5s';

/** The status of one data source's views. */
export interface SourceReading {
  dataSource: ViewDataSource;
  /** `undefined` if the database could not be read. */
  statuses: ViewStatus[] | undefined;
}

/** Reads all data sources. One that can't be read doesn't stop the others. */
export async function readSources(refreshes: RefreshService): Promise<SourceReading[]> {
  return Promise.all(
    dataSourcesOf(refreshes).map(async (dataSource) => ({
      dataSource,
      statuses: await refreshes
        .statusAll({ dataSource: dataSource.name, maxAge: MAX_AGE })
        .catch(() => undefined),
    })),
  );
}

/** None before the module has connected: there is nothing to measure then. */
export function dataSourcesOf(refreshes: RefreshService): ViewDataSource[] {
  try {
    return refreshes.dataSources();
  } catch {
    return [];
  }
}

/** Whether a channel's message is about one of its data sources: other applications in the process publish there too. */
export function isOf(refreshes: RefreshService, { dataSource }: { dataSource: string }): boolean {
  return dataSourcesOf(refreshes).some(({ name }) => name === dataSource);
}

/** The measurements of each data source. */
export interface SourceGauge extends Pick<ViewGauge, 'name' | 'unit' | 'description'> {
  value(reading: SourceReading): number | undefined;
}

export const SOURCE_GAUGES: readonly SourceGauge[] = [
  {
    name: 'materialized_view.readable',
    unit: '',
    description: 'Whether the status of the views could be read: 1 or 0',
    value: ({ statuses }) => Number(statuses !== undefined),
  },
  {
    name: 'materialized_view.change_log.size',
    unit: 'By',
    description: 'Size of the change log with its indexes',
    value: (reading) => logOf(reading)?.logBytes,
  },
  {
    name: 'materialized_view.change_log.row.count',
    unit: '{row}',
    description: 'Rows of the change log',
    value: (reading) => logOf(reading)?.logRowCount,
  },
];

/** All views of a data source report the same log; those without tracking report none. */
function logOf({ statuses }: SourceReading): ViewStatus['changes'] {
  return statuses?.find(({ changes }) => changes !== undefined)?.changes;
}

/** `schema.name` in its parts. */
export function partsOf(view: string): { schema: string; name: string } {
  const dot = view.indexOf('.');
  return { schema: view.slice(0, dot), name: view.slice(dot + 1) };
}
