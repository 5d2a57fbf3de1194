import {
  ConnectionFailedError,
  NotPrimaryError,
  type RefreshError,
  ServerResourcesError,
} from '../errors/refresh.errors.js';
import { silenceOf } from '../postgres/session-lost.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';

/** The longest waits before a retry. The actual wait is a random part of it, so that replicas don't all retry at once. */
const RETRY_DELAYS_MS = [500, 2_000, 8_000];

/** A server without a free connection needs more time than one that has dropped one. */
const CROWDED_DELAYS_MS = [2_000, 8_000, 30_000];

/** Time alone doesn't free disk or memory, but other work may have filled it for a moment. */
const RESOURCE_DELAYS_MS = [8_000];

/**
 * How long to wait before a failed refresh is retried; `undefined` if it isn't. A standby is not tried
 * again at once: a failover takes time, and the sweep tries again.
 *
 * @param attempt 1 for the first
 * @param random between 0 and 1
 */
export function retryDelayMs(
  error: RefreshError,
  attempt: number,
  random: number,
): number | undefined {
  const longestMs = delaysFor(error)[attempt - 1];
  return longestMs === undefined ? undefined : Math.round(longestMs * random);
}

function delaysFor(error: RefreshError): number[] {
  if (error instanceof ServerResourcesError) {
    return RESOURCE_DELAYS_MS;
  }
  if (!error.isTransient || error instanceof NotPrimaryError) {
    return [];
  }
  // On a network that drops everything, each attempt would cost the caller another connection timeout.
  if (silenceOf(error.cause) === 'on_connect') {
    return [];
  }
  const isCrowded =
    error instanceof ConnectionFailedError &&
    errorCode(error.cause) === SqlState.tooManyConnections;
  return isCrowded ? CROWDED_DELAYS_MS : RETRY_DELAYS_MS;
}
