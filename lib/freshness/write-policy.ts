/** The changes that a view has not seen. Instants are milliseconds since the epoch, by the database's clock. */
export interface UnseenChanges {
  now: number;
  /** When the oldest write was made; `null` for none. */
  since: number | null;
  /** The same of the newest. */
  lastAt: number | null;
  /** Whether something has changed that leaves no row in the log, and so has no time: DDL, or no refresh yet. */
  isAltered: boolean;
  /** Whether the view cannot be read. Somebody wanted it so: what it waits for is a write, or a refresh on demand. */
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
 * In how many milliseconds a view is to be refreshed because of writes: when none has followed the newest for
 * `debounceMs`, or the oldest has waited for `maxWaitMs`. Not more than 0 when it is due; `undefined` when
 * nothing has changed. What has no time waits for nothing: it is rare.
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
