import { aCount, aDataSource, objectOf } from '../definition/option-rules.js';

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

/** The options that name a view's data source and nothing else. */
export const viewOptions = objectOf<StatusQuery>({ dataSource: aDataSource });

export const limitedQuery = objectOf<HistoryQuery>({
  dataSource: aDataSource,
  limit: aCount(1, MAX_LIMIT),
});
