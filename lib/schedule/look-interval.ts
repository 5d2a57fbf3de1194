/** The shortest time between two polls. Compared to a debounce of a second, the delay is small. */
const FASTEST_MS = 250;

/**
 * The interval is at least this many times the server's time for a poll, which limits polling to a twentieth of a
 * core.
 */
const REST = 20;

/** The longest time between two polls: the first write after a quiet time may be noticed this late. */
const SLOWEST_MS = 2_000;

/** The longest time between two polls that fail. */
const SLOWEST_AFTER_ERRORS_MS = 30_000;

/** The share of the interval that is added at random, so that processes don't all poll at the same moment. */
const JITTER = 0.25;

export interface LookPace {
  /** The shortest time between two polls: see `leastIntervalMs`. */
  leastMs: number;
  /** From 0 to 1. */
  random: number;
}

/**
 * The shortest time between two polls, given how long one takes the server. Many views are polled less often, so that
 * polling takes at most a twentieth of the server's time, as long as a poll takes no more than 100 ms.
 */
export function leastIntervalMs(tookMs: number): number {
  return Math.min(Math.max(FASTEST_MS, REST * tookMs), SLOWEST_MS);
}

/**
 * How many milliseconds to wait before the next poll: until the next view is due or, if no view is waiting,
 * twice as long as before. So polls are frequent during and shortly after writes, and rare when it is quiet.
 *
 * @param lastMs the interval before the last poll
 * @param dueInMs the milliseconds until each waiting view is due
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
 * @param sinceMs the milliseconds since the last poll began
 */
export function nextLookAfterWakeUpInMs(sinceMs: number, leastMs: number): number {
  return Math.max(leastMs - sinceMs, 0);
}

/** The same after a poll that failed. */
export function nextLookAfterErrorInMs(lastMs: number, random: number): number {
  const withinMs = Math.min(Math.max(2 * lastMs, FASTEST_MS), SLOWEST_AFTER_ERRORS_MS);
  return withinMs * (1 + JITTER * random);
}
