import type { ViewDefinition } from '../definition/view-definition.js';
import type { CheckedRefreshOptions, OnBusy } from './refresh-options.js';
import { modeOf, type RefreshPolicy, type RefreshRequest } from './refresh-request.js';

/*
 * The four occasions of a refresh, each with its policy: what it skips, what it waits for, and whom it serves.
 */

/** No caller waits. A pause applies. `minInterval` doesn't, because a schedule says itself how often. */
const IN_BACKGROUND = { isAwaited: false, skipsPaused: true, keepsMinInterval: false } as const;

/**
 * A scheduled time. It is done once by all processes together, so it never waits for another
 * refresh.
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
    policy: {
      ...IN_BACKGROUND,
      skipsUnchanged: definition.freshness?.skipsUnchanged ? 'same-rows' : 'never',
      whenBusy: 'leave',
    },
  };
}

export interface ChangeOccasion {
  trigger: 'write' | 'staleness';
  /** How many refreshes in a row each wrote what triggered the next. */
  round: number;
  /** Another refresh that begins after this, by `performance.now()`, sees the change too. */
  sinceMs: number;
}

/**
 * A change to what the view reads. It is done if another refresh has run since, or if nothing is pending under the
 * lock. While another refresh runs, it is tried again later.
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
    policy: {
      ...IN_BACKGROUND,
      skipsUnchanged: trigger === 'write' ? 'all-seen' : 'same-rows',
      whenBusy: 'ask-again',
    },
    servedSince: () => sinceMs,
  };
}

/** The callers who share a refresh. */
export interface Callers {
  /** When the last of them asked, by `performance.now()`. */
  lastCallAt: () => number;
  /** Called when the refresh can serve no further callers. */
  onClosed: () => void;
  /** Aborted when no caller waits any more. */
  signal: AbortSignal;
}

/**
 * A call, or several that share a refresh. A call that empties the view can't be served by another call's
 * refresh.
 */
export function callRequest(
  definition: ViewDefinition,
  options: CheckedRefreshOptions,
  { lastCallAt, onClosed, signal }: Callers,
): RefreshRequest {
  const { mode, onBusy, trigger } = options;
  return {
    definition,
    trigger,
    mode,
    policy: onCall(options, onBusy === 'join' || onBusy === 'wait' ? 'ask-again' : 'leave'),
    servedSince: onBusy === 'join' && mode.withData ? lastCallAt : undefined,
    onBegin: onClosed,
    onDecided: onClosed,
    signal,
  };
}

/**
 * A call in the caller's own transaction. It serves no other caller, because it may be rolled back, and it waits for
 * the lock in the database, because the connection is the caller's anyway.
 */
export function transactionRequest(
  definition: ViewDefinition,
  options: CheckedRefreshOptions,
  onBusy: OnBusy,
): RefreshRequest {
  const { mode, trigger } = options;
  const policy = onCall(options, onBusy === 'wait' ? 'wait-for-lock' : 'leave');
  return { definition, trigger, mode, policy };
}

/** It runs even if nothing has changed. `minInterval` applies, but not when the view is emptied. */
function onCall(
  { mode, onPaused }: CheckedRefreshOptions,
  whenBusy: RefreshPolicy['whenBusy'],
): RefreshPolicy {
  return {
    isAwaited: true,
    skipsPaused: onPaused === 'skip',
    skipsUnchanged: 'never',
    keepsMinInterval: mode.withData,
    whenBusy,
  };
}
