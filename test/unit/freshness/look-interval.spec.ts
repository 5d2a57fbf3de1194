import { describe, expect, it } from '@jest/globals';
import {
  nextLookAfterErrorInMs,
  nextLookAfterWakeUpInMs,
  nextLookInMs,
} from '../../../lib/freshness/look-interval.js';

describe('the time to the next look', () => {
  it.each([
    ['grows while it is quiet', 500, [], 1_000],
    ['does so up to two seconds', 1_900, [], 2_000],
    ['ends when a view is due', 2_000, [700, 1_300], 700],
    ['is short when one is due already', 2_000, [-5, 1_300], 250],
    ['is not longer for what is due much later', 250, [60_000], 2_000],
    ['begins short', 0, [], 250],
  ])('%s', (_, lastMs, dueInMs, expected) => {
    expect(nextLookInMs(lastMs, dueInMs, 0)).toBe(expected);
    expect(nextLookInMs(lastMs, dueInMs, 1)).toBe(1.25 * expected);
  });

  it('is none after word of a write, but for looks that would follow too fast', () => {
    expect([0, 100, 250, Infinity].map(nextLookAfterWakeUpInMs)).toEqual([250, 150, 0, 0]);
  });

  it('grows further after errors', () => {
    expect([0, 250, 2_000, 20_000].map((lastMs) => nextLookAfterErrorInMs(lastMs, 0))).toEqual([
      250, 500, 4_000, 30_000,
    ]);
  });
});
