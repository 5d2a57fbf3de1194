import type { UnseenChanges } from './write-policy.js';

/** After many changes a refresh takes longer than on average. */
const DURATION_MARGIN = 1.5;

/** What may pass until the next look, and from there until the refresh begins. */
const LOOK_MARGIN_MS = 3_000;

/** The most of a limit that the margin may take: with a short limit, each write would otherwise be due at once. */
const LOOK_MARGIN_SHARE = 0.5;

/** One view of a chain: the view with the limit, or one below it. Its rows may miss a write that a reader expects. */
export interface ChainView {
  unseen: UnseenChanges;
  /** Whether all changes of what it reads are noticed. */
  isWatched: boolean;
  /** The start of the refresh that brought its rows, by the database's clock; `null` where there was none. */
  rowsSince: number | null;
  /** How long a refresh takes, in milliseconds. */
  durationMs: number;
  /** The other views that have to be refreshed before it, at whatever distance, by key. */
  below: ReadonlySet<string>;
}

/** What has to be refreshed, and when, so that the readers of a view miss no write older than its limit. */
export interface StalenessPlan {
  /** In how many milliseconds it has to begin; not more than 0 when it is due. */
  dueInMs: number;
  /** The views to be refreshed, by key. */
  views: string[];
}

/** `undefined` where readers miss nothing, so that nothing has to be refreshed. */
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
  // The sum, as if they were refreshed one after the other: how many run at a time is not known here.
  const workMs = concerned.reduce((sum, [, { durationMs }]) => sum + durationMs, 0);
  const lookMs = Math.min(LOOK_MARGIN_MS, maxStalenessMs * LOOK_MARGIN_SHARE);
  return {
    dueInMs: maxStalenessMs - Math.max(...ages.values()) - workMs * DURATION_MARGIN - lookMs,
    views: concerned.map(([key]) => key),
  };
}

/** The greatest age that a write may have which the view has not seen; `undefined` when it has seen all. */
function oldestMissingMs({ unseen, isWatched, rowsSince }: ChainView): number | undefined {
  const { now, since, isAltered, isEmpty } = unseen;
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
