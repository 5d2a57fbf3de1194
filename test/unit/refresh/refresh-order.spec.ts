import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RefreshOrder, remainingPaths } from '../../../lib/refresh/refresh-order.js';
import type { ViewEdge } from '../../../lib/graph/view-edges.js';
import { type Dependencies, ViewGraph } from '../../../lib/graph/view-graph.js';

function dependencies(views: string[], ...edges: string[]): Dependencies {
  const pairs = edges.map((edge) => edge.split(' < '));
  return new ViewGraph(pairs.map(([source = '', dependent = '']) => ({ source, dependent }))).among(
    new Set(views),
  );
}

const durations = (given: Record<string, number>): Map<string, number> =>
  new Map(Object.entries(given));

describe('remainingPaths', () => {
  const diamond = dependencies(['a', 'b', 'c', 'd'], 'a < b', 'a < c', 'b < d', 'c < d');

  it('is the longest path to the end, including the view itself', () => {
    expect(
      Object.fromEntries(remainingPaths(diamond, durations({ a: 1, b: 5, c: 20, d: 100 }))),
    ).toEqual({ a: 121, b: 105, c: 120, d: 100 });
  });

  it('counts a view without a known duration as the mean of the others, or as a second', () => {
    expect(remainingPaths(diamond, durations({ b: 10, c: 20 })).get('d')).toBe(15);
    expect(remainingPaths(diamond, new Map()).get('a')).toBe(3_000);
    expect(remainingPaths(diamond, durations({ elsewhere: 7 })).get('d')).toBe(1_000);
  });
});

describe('RefreshOrder', () => {
  it('hands out ready views, the longest remaining path first', () => {
    const order = new RefreshOrder(
      dependencies(['short', 'long', 'base', 'top'], 'base < top'),
      durations({ short: 1, long: 50, base: 10, top: 60 }),
    );
    expect([order.take(), order.take(), order.take(), order.take()]).toEqual([
      'base',
      'long',
      'short',
      undefined,
    ]);
    order.done('long');
    expect(order.take()).toBeUndefined();
    order.done('base');
    expect(order.take()).toBe('top');
  });

  it('keeps the given order if nothing else decides', () => {
    const order = new RefreshOrder(dependencies(['b', 'a', 'c']), new Map());
    expect([order.take(), order.take(), order.take()]).toEqual(['b', 'a', 'c']);
  });
});

/** Views in any graph without circles, which of them are refreshed, and their durations. */
const cases = fc.integer({ min: 1, max: 25 }).chain((viewCount) => {
  const names = Array.from({ length: viewCount }, (_, index) => `v${index}`);
  const edge = fc
    .tuple(fc.nat(viewCount - 1), fc.nat(viewCount - 1))
    .filter(([source, dependent]) => source < dependent)
    .map(([source, dependent]): ViewEdge => ({
      source: `v${source}`,
      dependent: `v${dependent}`,
    }));
  return fc.record({
    edges: viewCount > 1 ? fc.array(edge, { maxLength: viewCount * 3 }) : fc.constant([]),
    // Shuffled, so that the result cannot depend on the given order.
    wanted: fc.shuffledSubarray(names, { minLength: 1 }),
    takesMs: fc.array(fc.integer({ min: 1, max: 1_000 }), {
      minLength: viewCount,
      maxLength: viewCount,
    }),
    workers: fc.integer({ min: 1, max: 8 }),
  });
});

interface Run {
  view: string;
  startMs: number;
  endMs: number;
}

/** Simulates `workers` workers. Only the durations of refreshes advance the clock. */
function simulate(order: RefreshOrder, takes: Map<string, number>, workers: number): Run[] {
  const runs: Run[] = [];
  let running: Run[] = [];
  for (let nowMs = 0; ;) {
    for (let view; running.length < workers && (view = order.take()) !== undefined;) {
      const run = { view, startMs: nowMs, endMs: nowMs + (takes.get(view) ?? 0) };
      running.push(run);
      runs.push(run);
    }
    if (running.length === 0) {
      return runs;
    }
    nowMs = Math.min(...running.map(({ endMs }) => endMs));
    running.filter(({ endMs }) => endMs === nowMs).forEach(({ view }) => order.done(view));
    running = running.filter(({ endMs }) => endMs > nowMs);
  }
}

describe('any order', () => {
  it('has each requested view once, after what it depends on, and no other', () => {
    fc.assert(
      fc.property(cases, ({ edges, wanted, takesMs, workers }) => {
        const takes = new Map(takesMs.map((ms, index) => [`v${index}`, ms]));
        const below = new ViewGraph(edges).among(new Set(wanted));
        const runs = simulate(new RefreshOrder(below, takes), takes, workers);
        expect(runs.map(({ view }) => view).sort()).toEqual([...wanted].sort());
        const ends = new Map(runs.map(({ view, endMs }) => [view, endMs]));
        for (const { view, startMs } of runs) {
          for (const each of below.get(view) ?? []) {
            expect(ends.get(each)).toBeLessThanOrEqual(startMs);
          }
        }
      }),
    );
  });

  it('takes no longer than work / W + (1 - 1 / W) * path, whatever durations it assumes', () => {
    fc.assert(
      fc.property(cases, fc.boolean(), ({ edges, wanted, takesMs, workers }, isInformed) => {
        const takes = new Map(takesMs.map((ms, index) => [`v${index}`, ms]));
        const below = new ViewGraph(edges).among(new Set(wanted));
        const order = new RefreshOrder(below, isInformed ? takes : new Map());
        const makespan = Math.max(...simulate(order, takes, workers).map(({ endMs }) => endMs));
        const work = wanted.reduce((sum, view) => sum + (takes.get(view) ?? 0), 0);
        const path = Math.max(...remainingPaths(below, takes).values());
        expect(makespan).toBeGreaterThanOrEqual(Math.max(work / workers, path) - 1e-6);
        expect(makespan).toBeLessThanOrEqual(work / workers + (1 - 1 / workers) * path + 1e-6);
      }),
    );
  });
});
