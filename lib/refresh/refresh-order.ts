import type { Dependencies } from '../graph/view-graph.js';

/** The assumed duration if no view has been refreshed recently. */
const UNKNOWN_DURATION_MS = 1_000;

/**
 * Hands out each view once, after everything that it depends on is done. If several could be next, it
 * takes the one with the longest path of durations above it, because the whole run has to wait for that
 * path. With W workers, none of them idle while a view is ready, the run takes at most work / W + (1 -
 * 1 / W) times the longest path: R. L. Graham, Bounds on Multiprocessing Timing Anomalies,
 * https://doi.org/10.1137/0117039
 */
export class RefreshOrder {
  /** The views not handed out yet, with what they still wait for. */
  private readonly waiting: Map<string, Set<string>>;
  private readonly remainingMs: ReadonlyMap<string, number>;

  /** @param durationsMs the known ones */
  constructor(dependencies: Dependencies, durationsMs: ReadonlyMap<string, number>) {
    this.waiting = new Map([...dependencies].map(([view, below]) => [view, new Set(below)]));
    this.remainingMs = remainingPaths(dependencies, durationsMs);
  }

  /** The next view; `undefined` while the remaining ones wait for one that is running. */
  take(): string | undefined {
    const ready = [...this.waiting].filter(([, below]) => below.size === 0).map(([view]) => view);
    const [first, ...others] = ready;
    if (first === undefined) {
      return undefined;
    }
    const next = others.reduce((a, b) => (this.pathOf(b) > this.pathOf(a) ? b : a), first);
    this.waiting.delete(next);
    return next;
  }

  done(view: string): void {
    this.waiting.forEach((below) => below.delete(view));
  }

  private pathOf(view: string): number {
    return this.remainingMs.get(view) ?? 0;
  }
}

/**
 * For each view, the longest path from its own start to the end of everything above it, in milliseconds.
 */
export function remainingPaths(
  dependencies: Dependencies,
  durationsMs: ReadonlyMap<string, number>,
): Map<string, number> {
  const known = [...dependencies.keys()].flatMap((view) => durationsMs.get(view) ?? []);
  const meanMs = known.reduce((sum, ms) => sum + ms, 0) / known.length;
  const unknownMs = known.length > 0 ? meanMs : UNKNOWN_DURATION_MS;
  const aboveMs = new Map<string, number>();
  const remainingMs = new Map<string, number>();
  // Direct and indirect dependencies: a view has more of them than each view below it.
  const fromTheTop = [...dependencies].sort(([, a], [, b]) => b.size - a.size);
  for (const [view, below] of fromTheTop) {
    const pathMs = (durationsMs.get(view) ?? unknownMs) + (aboveMs.get(view) ?? 0);
    remainingMs.set(view, pathMs);
    below.forEach((each) => aboveMs.set(each, Math.max(aboveMs.get(each) ?? 0, pathMs)));
  }
  return remainingMs;
}
