import { type Duration, milliseconds } from '../definition/duration.js';
import {
  aCount,
  aDataSource,
  aDuration,
  anIdentifier,
  objectOf,
} from '../definition/option-rules.js';
import type { ViewTarget } from '../definition/view.registry.js';

const MAX_LIMIT = 1_000;
export const HISTORY_LIMIT = 50;
export const DRIFT_LIMIT = 100;
const ANSWER_TIMEOUT = '5s';

/** For how long a caller waits for an answer of the database. */
export interface AnswerOptions {
  /** After it the call fails with `StatusError`, whatever keeps the answer from coming. @default '5s' */
  timeout?: Duration;
}

export interface StatusQuery extends AnswerOptions {
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
}

export interface StatusAllQuery extends AnswerOptions {
  /** The views that are asked for: their classes, or `schema.name`. @default all */
  views?: readonly ViewTarget[];
  /** The one data source whose views are asked for. @default all */
  dataSource?: string;
  /**
   * How long ago the answer may have come from the database. With it callers in this process share one reading: those
   * who come while it is under way get its answer. For what many ask for again and again, as metrics and pages do.
   * @default every call reads
   */
  maxAge?: Duration;
}

/** A data source with materialized views. */
export interface ViewDataSource {
  name: string;
  /** The database that it is connected to. */
  database: string;
}

export interface HistoryQuery extends StatusQuery {
  /** Runs at the most, up to 1,000. @default 50 */
  limit?: number;
}

export interface DriftQuery {
  /** Needed only for a view that is registered in several data sources. */
  dataSource?: string;
  /** Keys in the sample at the most, each way, up to 1,000. @default 100 */
  limit?: number;
}

export interface InspectQuery extends AnswerOptions {
  /** @default 'default' */
  dataSource?: string;
  /** The one schema whose views are listed, as the catalog has its name. @default all */
  schema?: string;
}

const timeout = aDuration(1);
const limit = aCount(1, MAX_LIMIT);
export const answerOptions = objectOf<AnswerOptions>({ timeout });
export const statusQuery = objectOf<StatusQuery>({ dataSource: aDataSource, timeout });
export const statusAllQuery = objectOf<StatusAllQuery>({
  dataSource: aDataSource,
  timeout,
  maxAge: aDuration(0),
  views: () => undefined,
});
export const historyQuery = objectOf<HistoryQuery>({ dataSource: aDataSource, limit, timeout });
export const inspectQuery = objectOf<InspectQuery>({
  dataSource: aDataSource,
  schema: anIdentifier,
  timeout,
});
export const driftQuery = objectOf<DriftQuery>({ dataSource: aDataSource, limit });

/** For how long the answer is waited for, in milliseconds. */
export function answerTimeoutMs(options: AnswerOptions): number {
  return milliseconds(options.timeout ?? ANSWER_TIMEOUT);
}
