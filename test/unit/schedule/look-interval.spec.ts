import { describe, expect, it } from '@jest/globals';
import {
  leastIntervalMs,
  nextLookAfterErrorInMs,
  nextLookAfterWakeUpInMs,
  nextLookInMs,
} from '../../../lib/schedule/look-interval.js';

describe('the time to the next poll', () => {
  it.each([
    ['grows while it is quiet', 500, [], 1_000],
    ['does so up to two seconds', 1_900, [], 2_000],
    ['ends when a view is due', 2_000, [700, 1_300], 700],
    ['is short when one is due already', 2_000, [-5, 1_300], 250],
    ['is not longer for what is due much later', 250, [60_000], 2_000],
    ['begins short', 0, [], 250],
  ])('%s', (_, lastMs, dueInMs, expected) => {
    expect(nextLookInMs(lastMs, dueInMs, { leastMs: 250, random: 0 })).toBe(expected);
    expect(nextLookInMs(lastMs, dueInMs, { leastMs: 250, random: 1 })).toBe(1.25 * expected);
  });

  it('is twenty times as long as a poll takes the server, from a quarter of a second to two seconds', () => {
    expect([0, 12.5, 50, 100, 5_000].map(leastIntervalMs)).toEqual([250, 250, 1_000, 2_000, 2_000]);
    expect(nextLookInMs(0, [-5], { leastMs: 1_000, random: 0 })).toBe(1_000);
    expect(nextLookAfterWakeUpInMs(400, 1_000)).toBe(600);
  });

  it('is zero after a notification of a write, unless polls would follow too fast', () => {
    expect([0, 100, 250, Infinity].map((sinceMs) => nextLookAfterWakeUpInMs(sinceMs, 250))).toEqual(
      [250, 150, 0, 0],
    );
  });

  it('grows further after errors', () => {
    expect([0, 250, 2_000, 20_000].map((lastMs) => nextLookAfterErrorInMs(lastMs, 0))).toEqual([
      250, 500, 4_000, 30_000,
    ]);
  });
});
