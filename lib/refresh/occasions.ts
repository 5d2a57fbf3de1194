import type { ViewDefinition } from '../definition/view-definition.js';
import type { CheckedRefreshOptions, OnBusy } from './refresh-options.js';
import { modeOf, type RefreshRequest } from './refresh-request.js';

/*
 * The four occasions of a refresh, each with its policy: what it skips, what it waits for, and whom it serves.
 */

/**
 * A scheduled time. It is done once in the cluster, so it waits for nobody. Who pauses a view means its schedule, and a
 * schedule says itself how often: `minInterval` does not count.
 */
export function tickRequest(
  definition: ViewDefinition,
  tick: Date,
  retryUntil?: Date,
): RefreshRequest {
  return {
    definition,
    trigger: 'schedule',
    mode: modeOf(definition),
    tick,
    retryUntil,
    skipsPaused: true,
    skipsUnchanged: definition.freshness?.skipsUnchanged ?? false,
    keepsMinInterval: false,
  };
}

export interface ChangeOccasion {
  trigger: 'write' | 'staleness';
  /** How many refreshes in a row wrote what the next one was made for. */
  round: number;
  /** Another refresh that begins after this, by `performance.now()`, sees the change too. */
  sinceMs: number;
}

/**
 * A change to what the view reads. It is over when somebody else has refreshed the view since, and when nothing is
 * pending under the lock. While another refresh runs it is tried again later.
 */
export function changeRequest(
  definition: ViewDefinition,
  { trigger, round, sinceMs }: ChangeOccasion,
): RefreshRequest {
  return {
    definition,
    trigger,
    round,
    mode: modeOf(definition),
    skipsPaused: true,
    skipsUnchanged: true,
    keepsMinInterval: false,
    servedSince: () => sinceMs,
    waitsWhenBusy: true,
  };
}

/** The callers who share a refresh. */
export interface Callers {
  /** When the last of them asked, by `performance.now()`. */
  lastCallAt: () => number;
  /** Called when the refresh can serve no more of them. */
  onClosed: () => void;
  /** Aborted when none of them waits any more. */
  signal: AbortSignal;
}

/**
 * A call, or several that share a refresh. It is carried out though nothing has changed. `minInterval` counts, but not
 * for emptying, and nobody who empties a view is served by a refresh of somebody else's.
 */
export function callRequest(
  definition: ViewDefinition,
  { mode, onBusy, onPaused, trigger }: CheckedRefreshOptions,
  { lastCallAt, onClosed, signal }: Callers,
): RefreshRequest {
  return {
    definition,
    trigger,
    mode,
    skipsPaused: onPaused === 'skip',
    skipsUnchanged: false,
    keepsMinInterval: mode.withData,
    waitsWhenBusy: onBusy === 'join' || onBusy === 'wait',
    servedSince: onBusy === 'join' && mode.withData ? lastCallAt : undefined,
    onBegin: onClosed,
    onDecided: onClosed,
    signal,
  };
}

/**
 * A call in the caller's own transaction. It serves nobody else, since it may be rolled back, and waits for the lock in
 * the database: the connection is the caller's anyway.
 */
export function transactionRequest(
  definition: ViewDefinition,
  { mode, onPaused, trigger }: CheckedRefreshOptions,
  onBusy: OnBusy,
): RefreshRequest {
  return {
    definition,
    trigger,
    mode,
    skipsPaused: onPaused === 'skip',
    skipsUnchanged: false,
    keepsMinInterval: mode.withData,
    waitsForLock: onBusy === 'wait',
  };
}
