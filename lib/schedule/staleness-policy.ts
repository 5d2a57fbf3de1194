import type { GraphPlan } from '../refresh/graph-plan.js';
import type { PendingChanges } from '../tracking/pending-changes.js';

/** After many changes a refresh takes longer than on average. */
const DURATION_MARGIN = 1.5;

/** What may pass until the next look, and from there until the refresh begins. */
const LOOK_MARGIN_MS = 3_000;

/** The most of a limit that the margin may take: with a short limit, each write would otherwise be due at once. */
const LOOK_MARGIN_SHARE = 0.5;

/** The assumed duration of a refresh of a view that has not been refreshed of late. */
const UNKNOWN_DURATION_MS = 1_000;

/** Which views are refreshed before which, at whatever distance, and how long each takes. */
export type TimedGraph = Pick<GraphPlan, 'dependencies' | 'durationsMs'>;

/** What has to be refreshed, and when, so that the readers of a view miss no write older than its limit. */
export interface StalenessPlan {
  /** In how many milliseconds it has to begin; not more than 0 when it is due. */
  dueInMs: number;
  /** The views to be refreshed, by key. */
  views: string[];
}

/**
 * `undefined` where readers miss nothing, so that nothing has to be refreshed.
 *
 * @param chain by key the view with the limit, and those below it: their rows may miss a write that a reader expects
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

/** The greatest age that a write may have which the view has not seen; `undefined` when it has seen all. */
function oldestMissingMs(pending: PendingChanges): number | undefined {
  const { now, since, isAltered, isEmpty, isWatched, rowsSince } = pending;
  if (isEmpty && since === null) {
    return undefined;
  }
  if (rowsSince === null) {
    return Infinity;
  }
  if (!isWatched || isAltered) {
    // A write that a refresh of a view below brought may be older than this view's rows.
    return now - Math.min(rowsSince, since ?? rowsSince);
  }
  return since === null ? undefined : now - since;
}
