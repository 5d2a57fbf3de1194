import type { ViewSelector } from '../definition/data-source-selector.js';
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
  VIEW_RULES,
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

/** How long a call waits for the database. */
export interface AnswerOptions {
  /** After this time the call throws `StatusError`. @default '5s' */
  timeout?: Duration;
}

export interface StatusQuery extends AnswerOptions, ViewSelector {}

export interface StatusAllQuery extends AnswerOptions {
  /** The views: their classes, or `schema.name`. @default all */
  views?: readonly ViewTarget[];
  /** Only views of this data source. @default all */
  dataSource?: string;
  /** Only views of this schema. @default all */
  schema?: string;
  /**
   * How old the answer may be. Callers in this process then share one reading of the database, including those that
   * ask while it is running. Use it for frequent callers such as metrics and pages.
   * @default each call reads the database
   */
  maxAge?: Duration;
}

/** A data source with materialized views. */
export interface ViewDataSource {
  name: string;
  /** The name of its database. */
  database: string;
}

export interface HistoryQuery extends StatusQuery {
  /** The most runs to return, up to 1,000. @default 50 */
  limit?: number;
}

/** Filters the history of several views. */
export interface HistoryAllQuery extends AnswerOptions {
  /** Their classes, or `schema.name`; of each data source that has one, unless `dataSource` names one. @default all */
  views?: readonly ViewTarget[];
  /** Only views of this data source. @default all */
  dataSource?: string;
  /** Only views of this schema. @default all */
  schema?: string;
  /** Only runs with these outcomes. @default all */
  outcomes?: readonly RefreshOutcome[];
  /** Only runs that started at this time or later. @default all */
  since?: Date;
  /** Only runs that started before this time. @default all */
  until?: Date;
  /** The last entry of the previous page. @default the first page */
  olderThan?: Pick<RefreshHistoryEntry, 'startedAt' | 'runId'>;
  /** The most runs to return, up to 1,000. @default 50 */
  limit?: number;
}

export interface RecentRunsQuery extends AnswerOptions {
  /** Only views of this data source. @default all */
  dataSource?: string;
  /** The most runs to return for each view, up to 1,000. @default 30 */
  limit?: number;
}

export interface DeclaredQuery {
  /** Their classes, or `schema.name`. @default all */
  views?: readonly ViewTarget[];
  /** Only views of this data source. @default all */
  dataSource?: string;
  /** Only views of this schema. @default all */
  schema?: string;
  /** How many of the next scheduled times to compute for each view, up to 1,000. @default 0 */
  tickCount?: number;
}

export interface DriftQuery extends ViewSelector {
  /** The most keys in each list of the sample, up to 1,000. @default 100 */
  limit?: number;
}

export interface InspectQuery extends AnswerOptions {
  /** @default 'default' */
  dataSource?: string;
  /** Only views of this schema, spelled as in the catalog. @default all */
  schema?: string;
}

const timeout = aDuration(1);
const limit = aCount(1, MAX_LIMIT);
export const answerOptions = objectOf<AnswerOptions>({ timeout });
export const statusQuery = objectOf<StatusQuery>({ ...VIEW_RULES, timeout });
export const statusAllQuery = objectOf<StatusAllQuery>({
  ...VIEW_RULES,
  timeout,
  maxAge: aDuration(0),
  views: () => undefined,
});
export const historyQuery = objectOf<HistoryQuery>({ ...VIEW_RULES, limit, timeout });
const anInstant = matching('a valid Date', isInstant);
export const historyAllQuery = objectOf<HistoryAllQuery>({
  views: () => undefined,
  ...VIEW_RULES,
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
  ...VIEW_RULES,
  tickCount: aCount(0, MAX_LIMIT),
});
export const inspectQuery = objectOf<InspectQuery>({
  dataSource: aDataSource,
  schema: anIdentifier,
  timeout,
});
export const driftQuery = objectOf<DriftQuery>({ ...VIEW_RULES, limit });

/** How long to wait for the answer, in milliseconds. */
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
