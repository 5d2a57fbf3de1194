import type { RefreshService } from '../engine/refresh.service.js';
import {
  RefreshCancelledError,
  RefreshStoppedError,
  RefreshTimeoutError,
} from '../errors/refresh.errors.js';
import { errorCode } from '../postgres/sqlstate.js';
import {
  refreshChannel,
  type RefreshSkippedEvent,
  type RefreshTrace,
  skipChannel,
} from '../refresh/refresh-events.js';
import type { RefreshedResult, RefreshMode } from '../refresh/refresh-result.js';
import { isOf } from './source-reading.js';

export type RefreshEndOutcome = 'success' | 'failure' | 'timeout' | 'cancelled';

/** How an attempt at a refresh ended. */
export interface RefreshEnd {
  outcome: RefreshEndOutcome;
  /** 0 for an attempt that failed before it had its lock. */
  durationMs: number;
  hasBegun: boolean;
  mode?: RefreshMode;
  runId?: string;
  error?: Error;
  /** A SQLSTATE, or the `code` of one of the library's errors. */
  errorType?: string;
}

/** The outcomes of one application's refresh attempts in this process. Nothing here may throw. */
export interface RefreshWatcher {
  started(trace: RefreshTrace): void;
  ended(trace: RefreshTrace, end: RefreshEnd): void;
  skipped(event: RefreshSkippedEvent): void;
}

/**
 * Watches the refreshes of one application: other applications in the same process publish on the same
 * channels.
 *
 * @returns a function that ends it
 */
export function watchRefreshes(refreshes: RefreshService, watcher: RefreshWatcher): () => void {
  const startedAtMs = new WeakMap<object, number>();
  const start = (message: unknown): void => {
    const trace = message as RefreshTrace;
    startedAtMs.set(trace, performance.now());
    if (isOf(refreshes, trace)) {
      watcher.started(trace);
    }
  };
  const end = (message: unknown): void => {
    const trace = message as RefreshTrace;
    if (isOf(refreshes, trace)) {
      watcher.ended(trace, endOf(trace, startedAtMs.get(trace)));
    }
  };
  const skip = (message: unknown): void => {
    const event = message as RefreshSkippedEvent;
    if (isOf(refreshes, event)) {
      watcher.skipped(event);
    }
  };
  refreshChannel.start.subscribe(start);
  refreshChannel.asyncEnd.subscribe(end);
  skipChannel.subscribe(skip);
  return () => {
    refreshChannel.start.unsubscribe(start);
    refreshChannel.asyncEnd.unsubscribe(end);
    skipChannel.unsubscribe(skip);
  };
}

function endOf({ result, error }: RefreshTrace, startedAtMs: number | undefined): RefreshEnd {
  const refreshed = result as RefreshedResult | undefined;
  return {
    outcome: error === undefined ? 'success' : outcomeOf(error),
    durationMs: startedAtMs === undefined ? 0 : performance.now() - startedAtMs,
    hasBegun: startedAtMs !== undefined,
    mode: refreshed?.mode,
    runId: refreshed?.runId,
    error: error instanceof Error ? error : undefined,
    errorType: error === undefined ? undefined : errorTypeOf(error),
  };
}

function outcomeOf(error: unknown): RefreshEndOutcome {
  if (error instanceof RefreshCancelledError || error instanceof RefreshStoppedError) {
    return 'cancelled';
  }
  return error instanceof RefreshTimeoutError ? 'timeout' : 'failure';
}

/** A SQLSTATE, or the `code` of one of the library's errors. */
export function errorTypeOf(error: unknown): string {
  const { cause, code } = error as { cause?: unknown; code?: string };
  return errorCode(cause) ?? code ?? 'unknown';
}
