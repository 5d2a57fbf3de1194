import { onAbort } from './abort-listeners.js';
import { RefreshCancelledError, RefreshTimeoutError } from '../errors/refresh.errors.js';

/** How long a caller wants to wait. */
export interface Patience {
  signal?: AbortSignal;
  timeoutMs?: number;
}

/**
 * The result of `work`, or an error if the caller's timeout or signal comes first.
 *
 * @throws RefreshCancelledError if the signal is aborted, with its reason as `cause`
 * @throws RefreshTimeoutError if the time is over
 */
export async function withPatience<T>(
  view: string,
  { signal, timeoutMs }: Patience,
  work: () => Promise<T>,
): Promise<T> {
  if (signal?.aborted) {
    throw cancelled(view, signal);
  }
  let end: (error: Error) => void = () => undefined;
  const ended = new Promise<never>((_, reject) => (end = reject));
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => end(timedOut(view, timeoutMs)), timeoutMs);
  const stopListening = onAbort(signal, () => end(cancelled(view, signal)));
  try {
    return await Promise.race([work(), ended]);
  } finally {
    stopListening();
    clearTimeout(timer);
  }
}

const UNLESS_SHARED = 'The refresh is cancelled unless other callers wait for it.';

function cancelled(view: string, signal: AbortSignal | undefined): RefreshCancelledError {
  return new RefreshCancelledError(
    `The request to refresh materialized view "${view}" was aborted by its caller. ${UNLESS_SHARED}`,
    { view, cause: signal?.reason },
  );
}

function timedOut(view: string, timeoutMs: number): RefreshTimeoutError {
  return new RefreshTimeoutError(
    `The request to refresh materialized view "${view}" took longer than its \`timeout\` of ${timeoutMs} ms. ${UNLESS_SHARED}`,
    { view, hint: 'Raise `timeout`, or make the query faster.' },
  );
}
