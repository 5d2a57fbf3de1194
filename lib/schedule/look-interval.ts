/** The shortest time between two looks. Compared to a debounce of a second, the delay is small. */
const FASTEST_MS = 250;

/** How many times as long as the server has looked is the shortest time between two looks: a twentieth of a core. */
const REST = 20;

/** The longest time between two looks: by so much the first write after a quiet time may be noticed late. */
const SLOWEST_MS = 2_000;

/** The longest time between two looks that fail. */
const SLOWEST_AFTER_ERRORS_MS = 30_000;

/** The share of the interval that is added at random, so that processes do not all look at the same moment. */
const JITTER = 0.25;

export interface LookPace {
  /** The shortest time between two looks: see `leastIntervalMs`. */
  leastMs: number;
  /** From 0 to 1. */
  random: number;
}

/**
 * The shortest time between two looks where one takes the server so long: many views are looked at less often, so that
 * it is busy with them for a twentieth of the time at the most, as long as a look takes no more than 100 ms.
 */
export function leastIntervalMs(tookMs: number): number {
  return Math.min(Math.max(FASTEST_MS, REST * tookMs), SLOWEST_MS);
}

/**
 * How many milliseconds to wait before the next look: until the next view is due, or, when no view waits for its
 * time, twice as long as before. So looks are frequent during writes and shortly after them, and rare when it is
 * quiet.
 *
 * @param lastMs the interval before the last look
 * @param dueInMs in how many milliseconds each waiting view is due
 */
export function nextLookInMs(
  lastMs: number,
  dueInMs: readonly number[],
  { leastMs, random }: LookPace,
): number {
  const soonest = dueInMs.length > 0 ? Math.min(...dueInMs) : 2 * lastMs;
  const withinMs = Math.min(Math.max(soonest, leastMs), SLOWEST_MS);
  return withinMs * (1 + JITTER * random);
}

/**
 * The same after a notification of a write: at once, but no sooner than the shortest interval allows.
 *
 * @param sinceMs the milliseconds since the last look began
 */
export function nextLookAfterWakeUpInMs(sinceMs: number, leastMs: number): number {
  return Math.max(leastMs - sinceMs, 0);
}

/** The same after a look that failed. */
export function nextLookAfterErrorInMs(lastMs: number, random: number): number {
  const withinMs = Math.min(Math.max(2 * lastMs, FASTEST_MS), SLOWEST_AFTER_ERRORS_MS);
  return withinMs * (1 + JITTER * random);
}
