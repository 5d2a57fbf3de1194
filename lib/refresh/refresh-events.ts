import { channel, tracingChannel } from 'node:diagnostics_channel';
import type { RefreshError } from '../errors/refresh.errors.js';
import type { RefreshCascade } from '../graph/view-graph.js';
import type { GraphReport } from './graph-report.js';
import type { RefreshedResult, RefreshTrigger, SkippedResult } from './refresh-result.js';

interface RefreshEvent {
  /** The view, as `schema.name`. */
  view: string;
  dataSource: string;
  trigger: RefreshTrigger;
  /** The tick of a scheduled refresh. */
  tick?: Date;
}

export interface RefreshStartedEvent extends RefreshEvent {
  /** 1 for the first attempt, 2 for the first retry, and so on. */
  attempt: number;
}

export interface RefreshSucceededEvent extends RefreshEvent {
  result: RefreshedResult;
}

export interface RefreshFailedEvent extends RefreshEvent {
  attempt: number;
  error: RefreshError;
}

export interface RefreshRetryingEvent extends RefreshFailedEvent {
  retryInMs: number;
}

export interface RefreshSkippedEvent extends RefreshEvent {
  result: SkippedResult;
}

export interface ViewRecoveredEvent extends RefreshEvent {
  /** How many refreshes had failed in a row. */
  failureCount: number;
}

export interface ViewStaleEvent {
  view: string;
  dataSource: string;
  /** Since the start of the last refresh; `undefined` if there was none. */
  ageMs?: number;
  /** Absent for a view without rows that has no next tick. */
  maxStalenessMs?: number;
}

/** What subscribers of the tracing channel receive. Node adds `result` or `error` at the end. */
export interface RefreshTrace extends RefreshStartedEvent {
  /** How long this attempt waited for a connection and the lock, in milliseconds. Absent if it never began. */
  waitMs?: number;
  result?: unknown;
  error?: unknown;
}

/**
 * The name of the tracing channel in node:diagnostics_channel on which each attempt at a refresh is
 * traced: `tracing:nestjs-materialized-views.refresh:start`, `:asyncEnd`, `:error`.
 */
export const REFRESH_CHANNEL = 'nestjs-materialized-views.refresh';

/** Held here: Node keeps a channel that nobody holds by a weak reference, and may lose its subscribers. */
export const refreshChannel = tracingChannel<RefreshTrace, RefreshTrace>(REFRESH_CHANNEL);

/** What a subscriber of the tracing channel of graphs gets: Node adds `result` or `error` when it is over. */
export interface GraphTrace {
  /** The views that were named, without those that `cascade` adds. */
  views: { view: string; dataSource: string }[];
  cascade?: RefreshCascade;
  result?: GraphReport;
  error?: unknown;
}

/**
 * The name of the tracing channel in node:diagnostics_channel on which each call that refreshes several views is
 * traced (`refreshMany`, `refreshAll`, `after`), around the refreshes of its views.
 */
export const GRAPH_CHANNEL = 'nestjs-materialized-views.refresh_graph';

/** Held here, as `refreshChannel` is. */
export const graphChannel = tracingChannel<unknown, GraphTrace>(GRAPH_CHANNEL);

/** The channel in node:diagnostics_channel that publishes each skipped refresh as a `RefreshSkippedEvent`. */
export const SKIP_CHANNEL = 'nestjs-materialized-views.skip';

/** Held here, as `refreshChannel` is. */
export const skipChannel = channel(SKIP_CHANNEL);
