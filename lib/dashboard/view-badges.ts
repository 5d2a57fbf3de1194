import type { ViewStatus } from '../status/view-status.js';

/** The states of a view, the worst first. */
export const BADGES = [
  'missing',
  'not populated',
  'failing',
  'stale',
  'unscheduled',
  'blocked',
  'paused',
  'refreshing',
  'fresh',
] as const;

export type Badge = (typeof BADGES)[number];

const PROBLEMS: ReadonlySet<Badge> = new Set([
  'missing',
  'not populated',
  'failing',
  'stale',
  'unscheduled',
  'blocked',
]);

/** All states that apply to a view, the worst first; `fresh` if no other does. */
export function badgesOf(status: ViewStatus): Badge[] {
  const { exists, isPopulated, failureCount, isStale, isPaused, isRefreshing } = status;
  const holds: Record<Exclude<Badge, 'fresh'>, boolean> = {
    missing: !exists,
    'not populated': exists && !isPopulated,
    failing: failureCount > 0,
    stale: isStale,
    unscheduled: status.jobProblem !== undefined,
    blocked: status.lockedBy !== undefined,
    paused: isPaused,
    refreshing: isRefreshing === true,
  };
  const found = BADGES.filter((badge) => badge !== 'fresh' && holds[badge]);
  return found.some((badge) => badge !== 'paused' && badge !== 'refreshing')
    ? found
    : [...found, 'fresh'];
}

/** Whether someone has to look at it. */
export function isProblem(badges: readonly Badge[]): boolean {
  return badges.some((badge) => PROBLEMS.has(badge));
}

/** Problems first, then by name. */
export function byUrgency(one: ViewStatus, other: ViewStatus): number {
  return rank(one) - rank(other) || (one.view < other.view ? -1 : 1);
}

function rank(status: ViewStatus): number {
  const [worst = 'fresh'] = badgesOf(status);
  return BADGES.indexOf(worst);
}
