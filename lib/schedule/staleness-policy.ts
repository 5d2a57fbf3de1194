import type { GraphPlan } from '../refresh/graph-plan.js';
import type { PendingChanges } from '../tracking/pending-changes.js';

/** After many changes a refresh takes longer than on average. */
const DURATION_MARGIN = 1.5;

/** The time that may pass until the next poll, and from there until the refresh begins. */
const LOOK_MARGIN_MS = 3_000;

/**
 * The largest share of a limit that the margin may take: otherwise, with a short limit, each write would be due at
 * once.
 */
const LOOK_MARGIN_SHARE = 0.5;

/** The assumed duration of a refresh of a view that has not been refreshed recently. */
const UNKNOWN_DURATION_MS = 1_000;

/** Which views are refreshed before which, directly or not, and how long each takes. */
export type TimedGraph = Pick<GraphPlan, 'dependencies' | 'durationsMs'>;

/**
 * What must be refreshed, and when, so that no write older than the limit is missing from a view's rows.
 */
export interface StalenessPlan {
  /** The milliseconds until it must begin; 0 or less if it is due. */
  dueInMs: number;
  /** The views to refresh, by key. */
  views: string[];
}

/**
 * `undefined` if no write is missing, so that nothing must be refreshed.
 *
 * @param chain by key, the view with the limit and those below it: each may lack a write that a reader expects
 */
export function planForStaleness(
  chain: ReadonlyMap<string, PendingChanges>,
  { dependencies, durationsMs }: TimedGraph,
  maxStalenessMs: number,
): StalenessPlan | undefined {
  const ages = new Map(
    [...chain].flatMap(([key, view]) => {
      const ageMs = oldestMissingMs(view);
      return ageMs === undefined ? [] : [[key, ageMs] as const];
    }),
  );
  if (ages.size === 0) {
    return undefined;
  }
  const concerned = [...chain.keys()].filter((key) =>
    [key, ...(dependencies.get(key) ?? [])].some((each) => ages.has(each)),
  );
  // The sum, as if they were refreshed one after the other: how many run at a time is not known here.
  const workMs = concerned.reduce(
    (sum, key) => sum + (durationsMs.get(key) ?? UNKNOWN_DURATION_MS),
    0,
  );
  const lookMs = Math.min(LOOK_MARGIN_MS, maxStalenessMs * LOOK_MARGIN_SHARE);
  return {
    dueInMs: maxStalenessMs - Math.max(...ages.values()) - workMs * DURATION_MARGIN - lookMs,
    views: concerned,
  };
}

/** The greatest possible age of a write that the view has not seen; `undefined` if it has seen all. */
function oldestMissingMs(pending: PendingChanges): number | undefined {
  const { now, since, isAltered, isEmpty, isWatched, rowsSince } = pending;
  if (isEmpty && since === null) {
    return undefined;
  }
  if (rowsSince === null) {
    return Infinity;
  }
  if (!isWatched || isAltered) {
    // A write that came through a refresh of a view below may be older than this view's rows.
    return now - Math.min(rowsSince, since ?? rowsSince);
  }
  return since === null ? undefined : now - since;
}
