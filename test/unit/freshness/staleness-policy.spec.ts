import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type ChainView, planForStaleness } from '../../../lib/freshness/staleness-policy.js';

const LIMIT_MS = 60_000;
const NOW = 1_000_000;

function view(changes: Partial<ChainView> = {}, below: string[] = []): ChainView {
  return {
    unseen: { now: NOW, since: null, lastAt: null, isAltered: false, isEmpty: false },
    isWatched: true,
    rowsSince: NOW - 900_000,
    durationMs: 1_000,
    below: new Set(below),
    ...changes,
  };
}

const written = (agoMs: number): Pick<ChainView, 'unseen'> => ({
  unseen: { now: NOW, since: NOW - agoMs, lastAt: NOW, isAltered: false, isEmpty: false },
});

describe('planForStaleness', () => {
  it('does nothing where nothing has changed, however old the rows are', () => {
    const chain = new Map([
      ['top', view({}, ['base'])],
      ['base', view()],
    ]);
    expect(planForStaleness(chain, LIMIT_MS)).toBeUndefined();
  });

  it('gathers writes under a short limit too, for half of it', () => {
    const chain = new Map([['one', view({ ...written(100), durationMs: 100 })]]);
    expect(planForStaleness(chain, 2_000)?.dueInMs).toBe(2_000 - 100 - 150 - 1_000);
  });

  it('leaves a view empty that somebody wants so, until something is written', () => {
    const nothing = { now: NOW, since: null, lastAt: null, isAltered: true, isEmpty: true };
    const empty = (unseen: ChainView['unseen']): ChainView => view({ rowsSince: null, unseen });
    expect(planForStaleness(new Map([['one', empty(nothing)]]), LIMIT_MS)).toBeUndefined();
    const wanted = empty({ ...nothing, since: NOW, lastAt: NOW });
    expect(planForStaleness(new Map([['one', wanted]]), LIMIT_MS)).toEqual({
      dueInMs: -Infinity,
      views: ['one'],
    });
  });

  it('leaves time for the view, for those below it that have to be done first, and for more', () => {
    const chain = new Map([
      ['top', view({ durationMs: 4_000 }, ['middle', 'base', 'other'])],
      ['middle', view({ durationMs: 2_000 }, ['base'])],
      ['base', view({ ...written(10_000), durationMs: 6_000 })],
      ['other', view({ durationMs: 600_000 })],
    ]);
    expect(planForStaleness(chain, LIMIT_MS)).toEqual({
      dueInMs: LIMIT_MS - 10_000 - 1.5 * 12_000 - 3_000,
      views: ['top', 'middle', 'base'],
    });
  });

  it.each([
    ['has no rows', { rowsSince: null }, -Infinity],
    ['cannot be watched', { isWatched: false, rowsSince: NOW - 20_000 }, 35_500],
    [
      'was altered',
      {
        unseen: { now: NOW, since: null, lastAt: null, isAltered: true, isEmpty: false },
        rowsSince: NOW - 20_000,
      },
      35_500,
    ],
    [
      'reads one that was refreshed, and brought older writes',
      { unseen: { ...written(40_000).unseen, isAltered: true }, rowsSince: NOW - 20_000 },
      15_500,
    ],
    ['was written', written(40_000), 15_500],
  ])('of a view that %s', (_, changes, dueInMs) => {
    expect(planForStaleness(new Map([['one', view(changes)]]), LIMIT_MS)).toEqual({
      dueInMs,
      views: ['one'],
    });
  });

  it('is due before the oldest write reaches the limit, and the later the longer that is', () => {
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
          const { dueInMs = NaN } = planForStaleness(chain, limitMs) ?? {};
          expect(dueInMs + Math.max(one, other)).toBeLessThan(limitMs);
          const { dueInMs: withMore = NaN } = planForStaleness(chain, limitMs + 1) ?? {};
          expect(withMore).toBeGreaterThan(dueInMs);
          expect(withMore).toBeLessThanOrEqual(dueInMs + 1);
        },
      ),
    );
  });
});
