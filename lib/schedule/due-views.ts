import type { PendingChanges } from '../tracking/pending-changes.js';
import { planForStaleness, type StalenessPlan, type TimedGraph } from './staleness-policy.js';
import { isPending, writeDueInMs } from './write-policy.js';

/** Why a view should be refreshed now. */
export type DueTrigger = 'write' | 'staleness';

export interface Decision {
  /** The views that are due, by key. */
  due: Map<string, DueTrigger>;
  /** The milliseconds until each view with pending changes is due; 0 or less for those that are due now. */
  dueInMs: number[];
}

/** Whether any view may be due. If not, the graph need not be read. */
export function isAnyPending(changes: readonly PendingChanges[]): boolean {
  // Among the views that one with `maxStaleness` may read, those whose changes go unnoticed become old, whatever their
  // options.
  const isLimited = changes.some(
    ({ definition }) => definition.freshness?.maxStalenessMs !== undefined,
  );
  return changes.some((view) => isPending(view) || (isLimited && !view.isWatched && !view.isEmpty));
}

/**
 * Decides which views to refresh now. Pure.
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
 * Whether a due view may be refreshed now. It waits for views below it that will be due soon, to avoid a second
 * refresh, but no longer than its own `maxWait`: otherwise it would never be refreshed while those keep
 * changing.
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

/**
 * The view and all views below it that may be refreshed: a paused or failing one doesn't hold up
 * others.
 */
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
