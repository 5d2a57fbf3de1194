import { channel, tracingChannel } from 'node:diagnostics_channel';
import { MaterializedViewChannels } from '../definition/materialized-view.channels.js';
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

/** Referenced here, because Node keeps only a weak reference to a channel and may lose its subscribers. */
export const refreshChannel = tracingChannel<RefreshTrace, RefreshTrace>(
  MaterializedViewChannels.refresh,
);

/** What subscribers of the graphs' tracing channel receive. Node adds `result` or `error` at the end. */
export interface GraphTrace {
  /** The named views, without those that `cascade` adds. */
  views: { view: string; dataSource: string }[];
  cascade?: RefreshCascade;
  result?: GraphReport;
  error?: unknown;
}

/** Held here, as `refreshChannel` is. */
export const graphChannel = tracingChannel<unknown, GraphTrace>(
  MaterializedViewChannels.refreshGraph,
);

/** Held here, as `refreshChannel` is. */
export const skipChannel = channel(MaterializedViewChannels.skip);
