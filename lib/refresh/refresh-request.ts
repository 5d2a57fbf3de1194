import type { ModeChoice, ViewDefinition } from '../definition/view-definition.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import type { RefreshTrigger } from './refresh-result.js';

/** How to store the rows: as the caller says, otherwise by the view's options. */
export interface RequestedMode {
  choice: ModeChoice;
  /** Whether a refresh that would block readers fails instead. */
  strict: boolean;
  withData: boolean;
}

/** What a refresh of an occasion skips, respects and waits for: see `occasions.ts`. */
export interface RefreshPolicy {
  /**
   * Whether a caller waits for the result. Such a refresh begins before those that are only due, and its failures don't
   * make schedules back off.
   */
  isAwaited: boolean;
  /** Whether a paused view is skipped. */
  skipsPaused: boolean;
  /** When a view is skipped: if it has seen all writes, or if a refresh would give the same rows. */
  skipsUnchanged: 'never' | 'all-seen' | 'same-rows';
  /** Whether `minInterval` applies. */
  keepsMinInterval: boolean;
  /**
   * What to do while another refresh of the view runs: skip; try again later without reporting a skip; or wait for the
   * lock in the database, as long as the transaction's `lock_timeout` allows.
   */
  whenBusy: 'leave' | 'ask-again' | 'wait-for-lock';
}

/** A request to refresh one view. */
export interface RefreshRequest {
  definition: ViewDefinition;
  trigger: RefreshTrigger;
  policy: RefreshPolicy;
  mode: RequestedMode;
  /** How many refreshes in a row each wrote what triggered the next, this one included. @default 0 */
  round?: number;
  /**
   * The scheduled time that this refresh is for; it is done at most once by all processes together.
   */
  tick?: Date;
  /** Nothing is retried after this time: a later tick would do the same. */
  retryUntil?: Date;
  /**
   * The time, by `performance.now()`, after which another refresh serves the request too; absent if
   * none does. Read late: until the refresh begins, more callers may share it.
   */
  servedSince?: () => number;
  /** Aborted when no caller wants the refresh any more. */
  signal?: AbortSignal;
  /** Called when it is decided that nothing is refreshed: later callers need another request. */
  onDecided?: () => void;
  /** Called when it is too late to share this refresh: it may not see later writes. */
  onBegin?: () => void;
}

export interface RefreshLimits extends TransactionLimits {
  /** How long schedules back off from a view after each non-transient failure in a row. */
  backoffMs: number;
}

/**
 * `shutdown`: the process stops, and another one does the tick; `request`: no caller wants it any more.
 */
export type CancelReason = 'shutdown' | 'request';

/** The mode in a view's options. */
export function modeOf({ refresh }: ViewDefinition): RequestedMode {
  return { choice: refresh.mode, strict: refresh.strict, withData: true };
}
