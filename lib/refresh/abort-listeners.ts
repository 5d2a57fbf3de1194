/**
 * Node warns about a leak if a signal has more than ten listeners. Here, a signal that many calls share gets a
 * single one.
 */
const listenersOf = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `listener` when the signal is aborted.
 *
 * @returns a function that removes the listener
 */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal === undefined) {
    return () => undefined;
  }
  const listeners = listenersOf.get(signal) ?? new Set<() => void>();
  const callAll = (): void => [...listeners].forEach((each) => each());
  if (!listenersOf.has(signal)) {
    listenersOf.set(signal, listeners);
    signal.addEventListener('abort', callAll, { once: true });
  }
  // A new function each time, because the same listener may be added twice.
  const own = (): void => listener();
  listeners.add(own);
  return () => listeners.delete(own);
}

/**
 * Resolves after that time. Unlike with the `setTimeout` of `timers/promises`, any number of waits may share a
 * signal.
 *
 * @throws the signal's reason
 */
export function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      stopListening();
      if (signal?.aborted) {
        reject(signal.reason as Error);
      } else {
        resolve();
      }
    };
    const timer = setTimeout(end, durationMs);
    const stopListening = onAbort(signal, end);
  });
}
