/**
 * The shortest time between two looks. A look at ten views takes the server about 10 ms, so four a second stay
 * below a twentieth of one core; what it adds to a debounce of a second is little.
 */
const FASTEST_MS = 250;

/** The longest: what it adds to the latency of the first write after a quiet time. */
const SLOWEST_MS = 2_000;

/** While the database cannot be asked. */
const SLOWEST_AFTER_ERRORS_MS = 30_000;

/** Looks of different processes drift apart by this share. */
const JITTER = 0.25;

/**
 * How long to wait for the next look: until the next view is due, where one will be, and else twice as long as the last
 * time. So looks are frequent while something is written and shortly afterwards, and rare when it is quiet.
 *
 * @param dueInMs of all views that have something to wait for
 * @param random from 0 to 1
 */
export function nextLookInMs(lastMs: number, dueInMs: readonly number[], random: number): number {
  const soonest = dueInMs.length > 0 ? Math.min(...dueInMs) : 2 * lastMs;
  const withinMs = Math.min(Math.max(soonest, FASTEST_MS), SLOWEST_MS);
  return withinMs * (1 + JITTER * random);
}

/**
 * The same after word of a write: at once, as long as looks do not follow each other faster than they ever do.
 *
 * @param sinceMs since the last look began
 */
export function nextLookAfterWakeUpInMs(sinceMs: number): number {
  return Math.max(FASTEST_MS - sinceMs, 0);
}

/** The same after a look that failed. */
export function nextLookAfterErrorInMs(lastMs: number, random: number): number {
  const withinMs = Math.min(Math.max(2 * lastMs, FASTEST_MS), SLOWEST_AFTER_ERRORS_MS);
  return withinMs * (1 + JITTER * random);
}
