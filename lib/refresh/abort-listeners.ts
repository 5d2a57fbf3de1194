/** Node warns of a leak where a signal has more than ten listeners; a signal for many calls gets one from here. */
const listenersOf = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Has `listener` called when the signal is aborted.
 *
 * @returns what takes it back
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
  // A function of its own: the same one may be given twice.
  const own = (): void => listener();
  listeners.add(own);
  return () => listeners.delete(own);
}

/**
 * Passes after that time. Unlike with the `setTimeout` of `timers/promises`, any number of waits may share a signal.
 *
 * @throws what the signal was aborted for
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
