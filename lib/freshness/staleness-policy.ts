import type { UnseenChanges } from './write-policy.js';

/** Refreshes take longer when much has changed than they did on average. */
const DURATION_MARGIN = 1.5;

/** What passes between two looks, and until a refresh begins. */
const LOOK_MARGIN_MS = 3_000;

/** Of a short limit: with all of the margin each write would lead to a refresh at once, one after the other. */
const LOOK_MARGIN_SHARE = 0.5;

/** Of a view among whose rows a reader may miss a write: the one with the limit, and all below it. */
export interface ChainView {
  unseen: UnseenChanges;
  /** Whether all changes of what it reads are noticed. */
  isWatched: boolean;
  /** The start of the refresh that brought its rows, by the database's clock; `null` where there was none. */
  rowsSince: number | null;
  /** How long a refresh takes. */
  durationMs: number;
  /** The others that have to be refreshed before it, near and far. */
  below: ReadonlySet<string>;
}

/** What is to be done so that the readers of a view miss nothing older than its limit. */
export interface StalenessPlan {
  /** In how many milliseconds it has to begin; not more than 0 when it is due. */
  dueInMs: number;
  /** The views to be refreshed. */
  views: string[];
}

/** `undefined` where no reader can miss anything: then nothing is refreshed. */
export function planForStaleness(
  chain: ReadonlyMap<string, ChainView>,
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
  const concerned = [...chain].filter(
    ([key, { below }]) => ages.has(key) || [...below].some((each) => ages.has(each)),
  );
  // As if one after the other: how many can be refreshed at a time is not known here.
  const workMs = concerned.reduce((sum, [, { durationMs }]) => sum + durationMs, 0);
  const lookMs = Math.min(LOOK_MARGIN_MS, maxStalenessMs * LOOK_MARGIN_SHARE);
  return {
    dueInMs: maxStalenessMs - Math.max(...ages.values()) - workMs * DURATION_MARGIN - lookMs,
    views: concerned.map(([key]) => key),
  };
}

/** How old the oldest write can be that the view has not seen; `undefined` when it has seen all. */
function oldestMissingMs({ unseen, isWatched, rowsSince }: ChainView): number | undefined {
  const { now, since, isAltered, isEmpty } = unseen;
  if (isEmpty && since === null) {
    return undefined;
  }
  if (rowsSince === null) {
    return Infinity;
  }
  if (!isWatched || isAltered) {
    // What a refresh below it brought may be older than its own rows.
    return now - Math.min(rowsSince, since ?? rowsSince);
  }
  return since === null ? undefined : now - since;
}
