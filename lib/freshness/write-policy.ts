/** The changes that a view has not seen. Instants are milliseconds since the epoch, by the database's clock. */
export interface UnseenChanges {
  now: number;
  /** When the oldest of these writes was made; `null` for none. */
  since: number | null;
  /** When the newest of these writes was made; `null` for none. */
  lastAt: number | null;
  /** Whether there is a change without a row in the log, and so without a time: DDL, or no refresh so far. */
  isAltered: boolean;
  /** Whether the view is unpopulated. Somebody wanted it so: it waits for a write, or a refresh on demand. */
  isEmpty: boolean;
}

export interface WriteWaits {
  debounceMs: number;
  maxWaitMs: number;
}

/** Whether there is anything that the view has not seen. */
export function hasUnseen({ since, isAltered, isEmpty }: UnseenChanges): boolean {
  return since !== null || (isAltered && !isEmpty);
}

/**
 * In how many milliseconds a view has to be refreshed because of writes: when no write has followed the newest
 * for `debounceMs`, or when the oldest has waited for `maxWaitMs`. 0 or less when it is due; `undefined` when
 * nothing has changed. A change without a time is rare, and due at once.
 */
export function writeDueInMs(
  unseen: UnseenChanges,
  { debounceMs, maxWaitMs }: WriteWaits,
): number | undefined {
  const { now, since, lastAt } = unseen;
  if (since === null || lastAt === null) {
    return hasUnseen(unseen) ? 0 : undefined;
  }
  return Math.min(lastAt + debounceMs, since + maxWaitMs) - now;
}
