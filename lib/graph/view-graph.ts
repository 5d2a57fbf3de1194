import type { ViewEdge } from './view-edges.js';

/**
 * Which views are refreshed with the named ones, directly related or not: `dependencies` are those
 * that they read, `dependents` those that read them.
 */
export type RefreshCascade = (typeof REFRESH_CASCADES)[number];

/** All of them. */
export const REFRESH_CASCADES = ['dependencies', 'dependents', 'both'] as const;

/** For each view, all others that must be refreshed before it, directly or not. */
export type Dependencies = ReadonlyMap<string, ReadonlySet<string>>;

/** Which views read which: registered ones and others, materialized and plain. */
export class ViewGraph {
  private readonly sources = new Map<string, string[]>();
  private readonly dependents = new Map<string, string[]>();

  constructor(edges: Iterable<ViewEdge>) {
    for (const { source, dependent } of edges) {
      append(this.sources, dependent, source);
      append(this.dependents, source, dependent);
    }
  }

  /** The views with those that the cascade reaches, of every kind. */
  withCascade(views: Iterable<string>, cascade?: RefreshCascade): Set<string> {
    const all = new Set(views);
    const below = cascade === 'dependencies' || cascade === 'both' ? reach(all, this.sources) : [];
    const above = cascade === 'dependents' || cascade === 'both' ? reach(all, this.dependents) : [];
    return new Set([...all, ...below, ...above]);
  }

  /** Which of the views depend on which, through anything in between. */
  among(views: ReadonlySet<string>): Dependencies {
    return new Map(
      [...views].map((view) => {
        const below = reach(this.sources.get(view) ?? [], this.sources);
        // Replacing a plain view can make a view read its own old rows: then no order helps.
        return [view, new Set([...below].filter((each) => each !== view && views.has(each)))];
      }),
    );
  }
}

/** The views that depend on each other, so that none can be first; none if there is no circle. */
export function circleOf(dependencies: Dependencies): string[] {
  for (const [view, below] of dependencies) {
    const others = [...below].filter((each) => dependencies.get(each)?.has(view));
    if (others.length > 0) {
      return [view, ...others];
    }
  }
  return [];
}

function reach(from: Iterable<string>, next: ReadonlyMap<string, string[]>): Set<string> {
  const all = new Set(from);
  // Iterating over a Set includes what is added meanwhile.
  for (const view of all) {
    (next.get(view) ?? []).forEach((each) => all.add(each));
  }
  return all;
}

function append(lists: Map<string, string[]>, key: string, value: string): void {
  const list = lists.get(key);
  if (list === undefined) {
    lists.set(key, [value]);
  } else {
    list.push(value);
  }
}
