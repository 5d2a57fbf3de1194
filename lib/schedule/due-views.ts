import type { PendingChanges } from '../tracking/pending-changes.js';
import { planForStaleness, type StalenessPlan, type TimedGraph } from './staleness-policy.js';
import { isPending, writeDueInMs } from './write-policy.js';

/** Why a view is to be refreshed now. */
export type DueTrigger = 'write' | 'staleness';

export interface Decision {
  /** The views that are due, by key. */
  due: Map<string, DueTrigger>;
  /** In how many milliseconds each view with something to wait for is due; 0 or less for those that are due now. */
  dueInMs: number[];
}

/** Whether any view may be due: if not, the graph need not be read. */
export function isAnyPending(changes: readonly PendingChanges[]): boolean {
  // Of views that one with `maxStaleness` may read, those whose changes nobody notices become old, whatever their options.
  const isLimited = changes.some(
    ({ definition }) => definition.freshness?.maxStalenessMs !== undefined,
  );
  return changes.some((view) => isPending(view) || (isLimited && !view.isWatched && !view.isEmpty));
}

/**
 * Decides which views are to be refreshed now. Pure.
 *
 * @param open the views that this process may refresh now, by key
 */
export function decide(open: ReadonlyMap<string, PendingChanges>, graph: TimedGraph): Decision {
  const waits = new Map(
    [...open].flatMap(([key, view]) => {
      const dueInMs = dueByWrites(view);
      return dueInMs === undefined ? [] : [[key, dueInMs] as const];
    }),
  );
  const plans = stalenessPlans(open, graph);
  const stale = plans.filter(({ dueInMs }) => dueInMs <= 0).flatMap(({ views }) => views);
  const written = [...waits].flatMap(([key, dueInMs]) =>
    dueInMs <= 0 && mayGo(key, waits, { open, graph }) ? [key] : [],
  );
  return {
    due: new Map([
      ...stale.map((key) => [key, 'staleness'] as const),
      ...written.map((key) => [key, 'write'] as const),
    ]),
    dueInMs: [...waits.values(), ...plans.map(({ dueInMs }) => dueInMs)],
  };
}

function dueByWrites(view: PendingChanges): number | undefined {
  const waits = view.definition.freshness?.onWrite;
  return waits && writeDueInMs(view, waits);
}

/**
 * Whether a view that is due may be refreshed now. It waits for views below it that wait for their own time, or
 * it would be refreshed twice; but no longer than its own `maxWait`, or it would never be refreshed while those
 * are written all the time.
 */
function mayGo(
  key: string,
  waits: ReadonlyMap<string, number>,
  { open, graph }: { open: ReadonlyMap<string, PendingChanges>; graph: TimedGraph },
): boolean {
  const view = open.get(key);
  const maxWaitMs = view?.definition.freshness?.onWrite?.maxWaitMs;
  if (view && view.since !== null && view.now - view.since >= (maxWaitMs ?? 0)) {
    return true;
  }
  return [...(graph.dependencies.get(key) ?? [])].every((each) => (waits.get(each) ?? 0) <= 0);
}

function stalenessPlans(
  open: ReadonlyMap<string, PendingChanges>,
  graph: TimedGraph,
): StalenessPlan[] {
  return [...open].flatMap(([key, { definition }]) => {
    const limitMs = definition.freshness?.maxStalenessMs;
    const plan = limitMs && planForStaleness(chainOf(key, open, graph), graph, limitMs);
    return plan ? [plan] : [];
  });
}

/** The view and all below it that may be refreshed: one that is paused or fails holds up no other. */
function chainOf(
  key: string,
  open: ReadonlyMap<string, PendingChanges>,
  { dependencies }: TimedGraph,
): Map<string, PendingChanges> {
  const keys = [key, ...(dependencies.get(key) ?? [])];
  return new Map(
    keys.flatMap((each) => {
      const view = open.get(each);
      return view ? [[each, view] as const] : [];
    }),
  );
}
