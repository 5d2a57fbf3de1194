import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { isPending, writeDueInMs } from '../../../lib/schedule/write-policy.js';

const WAITS = { debounceMs: 1_000, maxWaitMs: 5_000 };
const NOTHING = { now: 10_000, since: null, lastAt: null, isAltered: false, isEmpty: false };

/** Any times of the oldest and the newest write, up to now. */
const written = fc
  .tuple(fc.nat(100_000), fc.nat(100_000), fc.nat(100_000))
  .map((instants) => instants.sort((a, b) => a - b))
  .map(([since = 0, lastAt = 0, now = 0]) => ({
    since,
    lastAt,
    now,
    isAltered: false,
    isEmpty: false,
  }));
const waits = fc
  .tuple(fc.nat(50_000), fc.nat(50_000))
  .map(([debounceMs, more]) => ({ debounceMs, maxWaitMs: debounceMs + more }));

describe('writeDueInMs', () => {
  it.each([
    ['nothing', NOTHING, undefined],
    ['a write just now', { ...NOTHING, since: 10_000, lastAt: 10_000 }, 1_000],
    ['one that others followed', { ...NOTHING, since: 7_000, lastAt: 9_800 }, 800],
    ['one that others followed for long', { ...NOTHING, since: 5_200, lastAt: 9_999 }, 200],
    ['a quiet debounce', { ...NOTHING, since: 8_500, lastAt: 9_000 }, 0],
    ['what leaves no time', { ...NOTHING, isAltered: true }, 0],
    [
      'that, of a view that is left empty',
      { ...NOTHING, isAltered: true, isEmpty: true },
      undefined,
    ],
    [
      'a write, of a view that is left empty',
      { now: 10_000, since: 9_500, lastAt: 9_500, isAltered: true, isEmpty: true },
      500,
    ],
    [
      'that and a write',
      { now: 10_000, since: 9_500, lastAt: 9_500, isAltered: true, isEmpty: false },
      500,
    ],
  ])('after %s', (_, unseen, dueInMs) => {
    expect(writeDueInMs(unseen, WAITS)).toBe(dueInMs);
    expect(isPending(unseen)).toBe(dueInMs !== undefined);
  });

  it('never lets a write wait longer than maxWait, and never cuts a debounce short before that', () => {
    fc.assert(
      fc.property(written, waits, (unseen, { debounceMs, maxWaitMs }) => {
        const dueInMs = writeDueInMs(unseen, { debounceMs, maxWaitMs }) ?? NaN;
        const quietMs = unseen.now - unseen.lastAt;
        const waitedMs = unseen.now - unseen.since;
        expect(dueInMs <= 0).toBe(quietMs >= debounceMs || waitedMs >= maxWaitMs);
        expect(waitedMs + dueInMs).toBeLessThanOrEqual(maxWaitMs);
        expect(quietMs + dueInMs).toBeLessThanOrEqual(debounceMs);
      }),
    );
  });

  it('decreases as time passes, and only the newest write increases it', () => {
    fc.assert(
      fc.property(written, waits, fc.nat(10_000), (unseen, wait, laterMs) => {
        const dueInMs = writeDueInMs(unseen, wait) ?? NaN;
        expect(writeDueInMs({ ...unseen, now: unseen.now + laterMs }, wait)).toBe(
          dueInMs - laterMs,
        );
        const followed = writeDueInMs({ ...unseen, lastAt: unseen.now }, wait);
        expect(followed).toBeGreaterThanOrEqual(dueInMs);
      }),
    );
  });
});
