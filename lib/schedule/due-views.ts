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
  due: Map<string, DueTrigger>;
  /** In how many milliseconds each view is due that waits for its time. */
  dueInMs: number[];
}

type Graph = Pick<GraphPlan, 'dependencies' | 'durationsMs'>;

/** What a view counts that has not been refreshed of late. */
const UNKNOWN_DURATION_MS = 1_000;

/** Whether anything is to be worked out at all. */
export function isAnyPending(changes: Iterable<PendingView>): boolean {
  return [...changes].some(
    ({ unseen, isWatched, definition }) =>
      hasUnseen(unseen) ||
      (!isWatched && !unseen.isEmpty && definition.freshness?.onWrite === undefined),
  );
}

/**
 * Which views are to be refreshed now. Pure.
 *
 * @param open what this process may refresh now, by key
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
 * A view waits for those below it that will be refreshed soon anyway, as long as its own `maxWait` allows:
 * otherwise it would be refreshed twice, or never where they are written all the time.
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

/** The view and all below it that can be refreshed: what is paused or fails holds up nobody. */
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
