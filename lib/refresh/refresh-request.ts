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

/** One wish to refresh one view. Each occasion has its own: see `occasions.ts`. */
export interface RefreshRequest {
  definition: ViewDefinition;
  trigger: RefreshTrigger;
  mode: RequestedMode;
  /** How many refreshes in a row wrote what the next one was made for, this one included. @default 0 */
  round?: number;
  /** The scheduled time that this refresh is for; it is done at most once in the cluster. */
  tick?: Date;
  /** Nothing is tried again after this instant: a later tick would do the same. */
  retryUntil?: Date;
  /** Whether a paused view is left alone. A schedule always does that. */
  skipsPaused: boolean;
  /** Whether a view that has nothing to be refreshed for is left alone. */
  skipsUnchanged: boolean;
  /** Whether `minInterval` counts. Not for a schedule, which says itself how often, nor for emptying. */
  keepsMinInterval: boolean;
  /**
   * The instant, by `performance.now()`, from which on another refresh serves the request too; absent
   * where none does. Asked late: until the refresh begins, more callers may come to share it.
   */
  servedSince?: () => number;
  /** Whether the lock is waited for in the database, for as long as the transaction's `lock_timeout` allows. */
  waitsForLock?: boolean;
  /** Whether `busy` only means that it is tried again later, and so is nothing to tell anybody. */
  waitsWhenBusy?: boolean;
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
