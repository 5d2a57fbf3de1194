import { type Duration, milliseconds } from '../definition/duration.js';
import {
  aCount,
  aDataSource,
  aDuration,
  anIdentifier,
  listOf,
  matching,
  objectOf,
  oneOf,
} from '../definition/option-rules.js';
import type { ViewTarget } from '../definition/view.registry.js';
import {
  REFRESH_OUTCOMES,
  type RefreshHistoryEntry,
  type RefreshOutcome,
} from '../status/refresh-history.js';

const MAX_LIMIT = 1_000;
export const HISTORY_LIMIT = 50;
export const DRIFT_LIMIT = 100;
export const RECENT_LIMIT = 30;
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

/** Which runs of which views are listed. */
export interface HistoryAllQuery extends AnswerOptions {
  /** Their classes, or `schema.name`; of each data source that has one, unless `dataSource` names one. @default all */
  views?: readonly ViewTarget[];
  /** The one data source whose views are asked for. @default all */
  dataSource?: string;
  /** How the runs ended. @default all */
  outcomes?: readonly RefreshOutcome[];
  /** Runs that started then or later. @default all */
  since?: Date;
  /** Runs that started before that. @default all */
  until?: Date;
  /** The last entry of the page before: what follows is the next page. @default the first page */
  olderThan?: Pick<RefreshHistoryEntry, 'startedAt' | 'runId'>;
  /** Runs at the most, up to 1,000. @default 50 */
  limit?: number;
}

export interface RecentRunsQuery extends AnswerOptions {
  /** The one data source whose views are asked for. @default all */
  dataSource?: string;
  /** Runs of each view at the most, up to 1,000. @default 30 */
  limit?: number;
}

export interface DeclaredQuery {
  /** Their classes, or `schema.name`. @default all */
  views?: readonly ViewTarget[];
  /** The one data source whose views are asked for. @default all */
  dataSource?: string;
  /** How many of the next scheduled times are worked out for each, up to 1,000. @default 0 */
  tickCount?: number;
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
const anInstant = matching('a valid Date', isInstant);
export const historyAllQuery = objectOf<HistoryAllQuery>({
  views: () => undefined,
  dataSource: aDataSource,
  outcomes: listOf(oneOf(...REFRESH_OUTCOMES)),
  since: anInstant,
  until: anInstant,
  olderThan: matching('an entry of the history', isEntry),
  limit,
  timeout,
});
export const recentRunsQuery = objectOf<RecentRunsQuery>({
  dataSource: aDataSource,
  limit,
  timeout,
});
export const declaredQuery = objectOf<DeclaredQuery>({
  views: listOf(() => undefined),
  dataSource: aDataSource,
  tickCount: aCount(0, MAX_LIMIT),
});
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

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function isEntry(value: unknown): boolean {
  const { startedAt, runId } = (value ?? {}) as Partial<RefreshHistoryEntry>;
  return isInstant(startedAt) && typeof runId === 'string' && UUID.test(runId);
}

function isInstant(value: unknown): boolean {
  return value instanceof Date && !Number.isNaN(value.getTime());
}
