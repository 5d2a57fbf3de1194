import {
  type ChainView,
  planForStaleness,
  type StalenessPlan,
} from '../freshness/staleness-policy.js';
import { hasUnseen, writeDueInMs } from '../freshness/write-policy.js';
import type { GraphPlan } from '../refresh/graph-plan.js';
import type { PendingView } from './change-reading.js';

/** Why a view is to be refreshed now. */
export type DueTrigger = 'write' | 'staleness';

export interface Decision {
  /** The views that are due, by key. */
  due: Map<string, DueTrigger>;
  /** In how many milliseconds each view with something to wait for is due; 0 or less for those that are due now. */
  dueInMs: number[];
}

type Graph = Pick<GraphPlan, 'dependencies' | 'durationsMs'>;

/** The assumed duration of a refresh of a view that has not been refreshed of late. */
const UNKNOWN_DURATION_MS = 1_000;

/** Whether any view may be due: if not, the graph need not be read. */
export function isAnyPending(changes: readonly PendingView[]): boolean {
  // Of views that one with `maxStaleness` may read, those of which nobody is told become old, whatever their options.
  const isLimited = changes.some(
    ({ definition }) => definition.freshness?.maxStalenessMs !== undefined,
  );
  return changes.some(
    ({ unseen, isWatched }) => hasUnseen(unseen) || (isLimited && !isWatched && !unseen.isEmpty),
  );
}

/**
 * Decides which views are to be refreshed now. Pure.
 *
 * @param open the views that this process may refresh now, by key
 */
export function decide(open: ReadonlyMap<string, PendingView>, graph: Graph): Decision {
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

function dueByWrites({ definition, unseen }: PendingView): number | undefined {
  const waits = definition.freshness?.onWrite;
  return waits && writeDueInMs(unseen, waits);
}

/**
 * Whether a view that is due may be refreshed now. It waits for views below it that wait for their own time, or
 * it would be refreshed twice; but no longer than its own `maxWait`, or it would never be refreshed while those
 * are written all the time.
 */
function mayGo(
  key: string,
  waits: ReadonlyMap<string, number>,
  { open, graph }: { open: ReadonlyMap<string, PendingView>; graph: Graph },
): boolean {
  const { unseen, definition } = open.get(key) ?? {};
  const maxWaitMs = definition?.freshness?.onWrite?.maxWaitMs;
  if (unseen && unseen.since !== null && unseen.now - unseen.since >= (maxWaitMs ?? 0)) {
    return true;
  }
  return [...(graph.dependencies.get(key) ?? [])].every((each) => (waits.get(each) ?? 0) <= 0);
}

function stalenessPlans(open: ReadonlyMap<string, PendingView>, graph: Graph): StalenessPlan[] {
  return [...open].flatMap(([key, { definition }]) => {
    const limitMs = definition.freshness?.maxStalenessMs;
    const plan = limitMs && planForStaleness(chainOf(key, open, graph), limitMs);
    return plan ? [plan] : [];
  });
}

/** The view and all below it that may be refreshed: one that is paused or fails holds up no other. */
function chainOf(
  key: string,
  open: ReadonlyMap<string, PendingView>,
  { dependencies, durationsMs }: Graph,
): Map<string, ChainView> {
  const keys = [key, ...(dependencies.get(key) ?? [])];
  return new Map(
    keys.flatMap((each) => {
      const view = open.get(each);
      const durationMs = durationsMs.get(each) ?? UNKNOWN_DURATION_MS;
      const below = dependencies.get(each) ?? new Set<string>();
      return view ? [[each, { ...view, durationMs, below }] as const] : [];
    }),
  );
}
