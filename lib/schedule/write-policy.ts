import type { PendingChanges } from '../tracking/pending-changes.js';

/** The pending changes' times, which decide when they are due. */
type Writes = Pick<PendingChanges, 'now' | 'since' | 'lastAt' | 'isAltered' | 'isEmpty'>;

export interface WriteWaits {
  debounceMs: number;
  maxWaitMs: number;
}

/** Whether there is anything that the view has not seen. */
export function isPending({ since, isAltered, isEmpty }: Writes): boolean {
  return since !== null || (isAltered && !isEmpty);
}

/**
 * The milliseconds until writes make a view due: when no write has followed the newest for `debounceMs`, or
 * when the oldest has waited for `maxWaitMs`. 0 or less if it is due; `undefined` if nothing has changed. A
 * change without a time is rare, and due at once.
 */
export function writeDueInMs(
  pending: Writes,
  { debounceMs, maxWaitMs }: WriteWaits,
): number | undefined {
  const { now, since, lastAt } = pending;
  if (since === null || lastAt === null) {
    return isPending(pending) ? 0 : undefined;
  }
  return Math.min(lastAt + debounceMs, since + maxWaitMs) - now;
}
