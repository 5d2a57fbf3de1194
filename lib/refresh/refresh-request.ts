import type { ModeChoice, ViewDefinition } from '../definition/view-definition.js';
import type { TransactionLimits } from '../postgres/transaction.sql.js';
import type { RefreshTrigger } from './refresh-result.js';

/** How the rows are to be stored: what the caller said, else the options of the view. */
export interface RequestedMode {
  choice: ModeChoice;
  /** Whether a refresh that would stop readers fails instead. */
  strict: boolean;
  withData: boolean;
}

/** What an occasion has a refresh skip, keep to and wait for: see `occasions.ts`. */
export interface RefreshPolicy {
  /**
   * Whether somebody waits for the result. Such a refresh begins before those that are only due, and its failures keep no
   * schedule away from the view.
   */
  isAwaited: boolean;
  /** Whether a paused view is left alone. */
  skipsPaused: boolean;
  /** When a view is left alone: where it has seen all writes, or where a refresh would give the same rows. */
  skipsUnchanged: 'never' | 'all-seen' | 'same-rows';
  /** Whether `minInterval` counts. */
  keepsMinInterval: boolean;
  /**
   * While another refresh of the view runs: leave it alone; ask again later, so that until then there is nothing to tell
   * anybody; or wait for the lock in the database, for as long as the transaction's `lock_timeout` allows.
   */
  whenBusy: 'leave' | 'ask-again' | 'wait-for-lock';
}

/** One wish to refresh one view. */
export interface RefreshRequest {
  definition: ViewDefinition;
  trigger: RefreshTrigger;
  policy: RefreshPolicy;
  mode: RequestedMode;
  /** How many refreshes in a row wrote what the next one was made for, this one included. @default 0 */
  round?: number;
  /** The scheduled time that this refresh is for; it is done at most once in the cluster. */
  tick?: Date;
  /** Nothing is tried again after this instant: a later tick would do the same. */
  retryUntil?: Date;
  /**
   * The instant, by `performance.now()`, from which on another refresh serves the request too; absent
   * where none does. Asked late: until the refresh begins, more callers may come to share it.
   */
  servedSince?: () => number;
  /** Aborted when nobody wants the refresh any more. */
  signal?: AbortSignal;
  /** Called when it is decided that nothing is refreshed: who asks from now on, asks for something else. */
  onDecided?: () => void;
  /** Called when it is too late to share this refresh: what is written from now on it may not see. */
  onBegin?: () => void;
}

export interface RefreshLimits extends TransactionLimits {
  /** How long schedules stay away from a view after each failure in a row that is not transient. */
  backoffMs: number;
}

/** `shutdown`: the process stops, and the tick is another one's; `request`: nobody wants it any more. */
export type CancelReason = 'shutdown' | 'request';

/** The modes that a view's options ask for. */
export function modeOf({ refresh }: ViewDefinition): RequestedMode {
  return { choice: refresh.mode, strict: refresh.strict, withData: true };
}
