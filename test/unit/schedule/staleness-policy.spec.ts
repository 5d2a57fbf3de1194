import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { planForStaleness, type StalenessPlan } from '../../../lib/schedule/staleness-policy.js';
import type { PendingChanges } from '../../../lib/tracking/pending-changes.js';

const LIMIT_MS = 60_000;
const NOW = 1_000_000;

/** A view's pending changes, the duration of its refresh, and the views below it. */
type ChainView = Partial<PendingChanges> & { durationMs: number; below: Set<string> };

const NOTHING = { now: NOW, since: null, lastAt: null, isAltered: false, isEmpty: false };

const view = (changes: Partial<ChainView> = {}, below: string[] = []): ChainView => ({
  ...NOTHING,
  isWatched: true,
  rowsSince: NOW - 900_000,
  durationMs: 1_000,
  below: new Set(below),
  ...changes,
});

const written = (agoMs: number): Partial<ChainView> => ({
  ...NOTHING,
  since: NOW - agoMs,
  lastAt: NOW,
});

function plan(chain: ReadonlyMap<string, ChainView>, limitMs: number): StalenessPlan | undefined {
  const graph = {
    dependencies: new Map([...chain].map(([key, { below }]) => [key, below])),
    durationsMs: new Map([...chain].map(([key, { durationMs }]) => [key, durationMs])),
  };
  return planForStaleness(chain as ReadonlyMap<string, unknown> as never, graph, limitMs);
}

describe('planForStaleness', () => {
  it('does nothing if nothing has changed, however old the rows are', () => {
    const chain = new Map([
      ['top', view({}, ['base'])],
      ['base', view()],
    ]);
    expect(plan(chain, LIMIT_MS)).toBeUndefined();
  });

  it('collects writes under a short limit too, for half of it', () => {
    const chain = new Map([['one', view({ ...written(100), durationMs: 100 })]]);
    expect(plan(chain, 2_000)?.dueInMs).toBe(2_000 - 100 - 150 - 1_000);
  });

  it('leaves an emptied view empty until something is written', () => {
    const nothing = { ...NOTHING, isAltered: true, isEmpty: true };
    const empty = (changes: Partial<ChainView>): ChainView => view({ rowsSince: null, ...changes });
    expect(plan(new Map([['one', empty(nothing)]]), LIMIT_MS)).toBeUndefined();
    const wanted = empty({ ...nothing, since: NOW, lastAt: NOW });
    expect(plan(new Map([['one', wanted]]), LIMIT_MS)).toEqual({
      dueInMs: -Infinity,
      views: ['one'],
    });
  });

  it('leaves time for the view, for those below it that come first, and a margin', () => {
    const chain = new Map([
      ['top', view({ durationMs: 4_000 }, ['middle', 'base', 'other'])],
      ['middle', view({ durationMs: 2_000 }, ['base'])],
      ['base', view({ ...written(10_000), durationMs: 6_000 })],
      ['other', view({ durationMs: 600_000 })],
    ]);
    expect(plan(chain, LIMIT_MS)).toEqual({
      dueInMs: LIMIT_MS - 10_000 - 1.5 * 12_000 - 3_000,
      views: ['top', 'middle', 'base'],
    });
  });

  it.each([
    ['has no rows', { rowsSince: null }, -Infinity],
    ['cannot be watched', { isWatched: false, rowsSince: NOW - 20_000 }, 35_500],
    ['was altered', { isAltered: true, rowsSince: NOW - 20_000 }, 35_500],
    [
      'reads one that was refreshed, and brought older writes',
      { ...written(40_000), isAltered: true, rowsSince: NOW - 20_000 },
      15_500,
    ],
    ['was written', written(40_000), 15_500],
  ])('for a view that %s', (_, changes, dueInMs) => {
    expect(plan(new Map([['one', view(changes)]]), LIMIT_MS)).toEqual({
      dueInMs,
      views: ['one'],
    });
  });

  it('is due before the oldest write reaches the limit, and later for a longer limit', () => {
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.nat(100_000),
        fc.integer({ min: 1, max: 100_000 }),
        (one, other, limitMs) => {
          const chain = new Map([
            ['top', view(written(one), ['base'])],
            ['base', view(written(other))],
          ]);
          const { dueInMs = NaN } = plan(chain, limitMs) ?? {};
          expect(dueInMs + Math.max(one, other)).toBeLessThan(limitMs);
          const { dueInMs: withMore = NaN } = plan(chain, limitMs + 1) ?? {};
          expect(withMore).toBeGreaterThan(dueInMs);
          expect(withMore).toBeLessThanOrEqual(dueInMs + 1);
        },
      ),
    );
  });
});
