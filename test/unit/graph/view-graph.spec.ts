import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { circleOf, ViewGraph } from '../../../lib/graph/view-graph.js';

/** `'a < b'`: b reads a. */
function graph(...edges: string[]): ViewGraph {
  return new ViewGraph(
    edges.map((edge) => {
      const [source = '', dependent = ''] = edge.split(' < ');
      return { source, dependent };
    }),
  );
}

const among = (views: ViewGraph, ...names: string[]): Record<string, string[]> =>
  Object.fromEntries(
    [...views.among(new Set(names))].map(([view, below]) => [view, [...below].sort()]),
  );

describe('withCascade', () => {
  const views = graph('a < b', 'b < plain', 'plain < c', 'b < d', 'other < d', 'x < y');

  it.each([
    [undefined, ['b']],
    ['dependencies', ['a', 'b']],
    ['dependents', ['b', 'c', 'd', 'plain']],
    ['both', ['a', 'b', 'c', 'd', 'plain']],
  ] as const)('%s', (cascade, expected) => {
    expect([...views.withCascade(['b'], cascade)].sort()).toEqual(expected);
  });

  it('takes what each of several views reaches, only once', () => {
    expect([...views.withCascade(['c', 'y'], 'dependencies')].sort()).toEqual([
      'a',
      'b',
      'c',
      'plain',
      'x',
      'y',
    ]);
  });
});

describe('among', () => {
  it('finds direct and indirect dependencies, through views that are not requested', () => {
    const views = graph('a < plain', 'plain < unasked', 'unasked < b', 'b < c', 'x < c');
    expect(among(views, 'a', 'b', 'c', 'apart')).toEqual({
      a: [],
      b: ['a'],
      c: ['a', 'b'],
      apart: [],
    });
  });

  it('accepts a view that reads its own old rows through a plain view', () => {
    expect(among(graph('a < plain', 'plain < a'), 'a')).toEqual({ a: [] });
  });
});

describe('circleOf', () => {
  it('is empty for a graph that has an order', () => {
    const views = graph('a < b', 'a < c', 'b < d', 'c < d');
    expect(circleOf(views.among(new Set(['a', 'b', 'c', 'd'])))).toEqual([]);
  });

  it('names the views in the circle, and not those beside it', () => {
    const views = graph('below < a', 'a < plain', 'plain < b', 'b < a', 'b < above');
    const circle = circleOf(views.among(new Set(['below', 'a', 'b', 'above'])));
    expect([...circle].sort()).toEqual(['a', 'b']);
  });

  it('ignores a circle of views that are not requested', () => {
    const views = graph('a < p', 'p < q', 'q < p', 'q < b');
    expect(circleOf(views.among(new Set(['a', 'b'])))).toEqual([]);
  });
});

describe('any graph', () => {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  const edges = fc.uniqueArray(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...names)), {
    selector: String,
    maxLength: 20,
  });

  it('has for each view exactly those requested views from which a path leads to it', () => {
    fc.assert(
      fc.property(edges, fc.subarray(names), (pairs, asked) => {
        const views = new ViewGraph(pairs.map(([source, dependent]) => ({ source, dependent })));
        const hasPath = (from: string, to: string, seen: string[] = []): boolean =>
          pairs.some(
            ([source, dependent]) =>
              source === from &&
              !seen.includes(dependent) &&
              (dependent === to || hasPath(dependent, to, [...seen, dependent])),
          );
        for (const [view, below] of views.among(new Set(asked))) {
          const expected = asked.filter((each) => each !== view && hasPath(each, view));
          expect([...below].sort()).toEqual(expected.sort());
        }
        const closure = asked.flatMap((each) => names.filter((name) => hasPath(each, name)));
        expect(views.withCascade(asked, 'dependents')).toEqual(new Set([...asked, ...closure]));
      }),
    );
  });
});
