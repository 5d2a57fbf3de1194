/**
 * The shortest time between two looks. A look at ten views takes the server about 10 ms, so four looks a second
 * cost less than a twentieth of a core. Compared to a debounce of a second, the delay is small.
 */
const FASTEST_MS = 250;

/** The longest time between two looks: by so much the first write after a quiet time may be noticed late. */
const SLOWEST_MS = 2_000;

/** The longest time between two looks that fail. */
const SLOWEST_AFTER_ERRORS_MS = 30_000;

/** The share of the interval that is added at random, so that processes do not all look at the same moment. */
const JITTER = 0.25;

/**
 * How many milliseconds to wait before the next look: until the next view is due, or, when no view waits for its
 * time, twice as long as before. So looks are frequent during writes and shortly after them, and rare when it is
 * quiet.
 *
 * @param lastMs the interval before the last look
 * @param dueInMs in how many milliseconds each waiting view is due
 * @param random from 0 to 1
 */
export function nextLookInMs(lastMs: number, dueInMs: readonly number[], random: number): number {
  const soonest = dueInMs.length > 0 ? Math.min(...dueInMs) : 2 * lastMs;
  const withinMs = Math.min(Math.max(soonest, FASTEST_MS), SLOWEST_MS);
  return withinMs * (1 + JITTER * random);
}

/**
 * The same after a notification of a write: at once, but no sooner than the shortest interval allows.
 *
 * @param sinceMs the milliseconds since the last look began
 */
export function nextLookAfterWakeUpInMs(sinceMs: number): number {
  return Math.max(FASTEST_MS - sinceMs, 0);
}

/** The same after a look that failed. */
export function nextLookAfterErrorInMs(lastMs: number, random: number): number {
  const withinMs = Math.min(Math.max(2 * lastMs, FASTEST_MS), SLOWEST_AFTER_ERRORS_MS);
  return withinMs * (1 + JITTER * random);
}
