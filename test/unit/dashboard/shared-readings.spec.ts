import { describe, expect, it } from '@jest/globals';
import { SharedReadings } from '../../../lib/dashboard/shared-readings.js';

const HOUR_MS = 3_600_000;

describe('shared readings', () => {
  it('are shared by all callers who want the same', async () => {
    const shared = new SharedReadings();
    const ends: ((answer: number) => void)[] = [];
    const ask = (key: string): Promise<number> =>
      shared.get(key, HOUR_MS, () => new Promise((resolve) => ends.push(resolve)));
    const first = Array.from({ length: 50 }, () => ask('one'));
    const other = ask('other');
    expect(ends).toHaveLength(2);
    ends.forEach((end, position) => end(position));
    expect(new Set(await Promise.all(first))).toEqual(new Set([0]));
    expect(await other).toBe(1);
    expect(await ask('one')).toBe(0);
    expect(ends).toHaveLength(2);
  });

  it('are read again once they are too old, failed, or no longer true', async () => {
    const shared = new SharedReadings();
    let count = 0;
    const ask = (maxAgeMs: number): Promise<number> =>
      shared.get('one', maxAgeMs, () => Promise.resolve((count += 1)));
    await expect(
      shared.get('one', HOUR_MS, () => Promise.reject(new Error('no connection'))),
    ).rejects.toThrow('no connection');
    expect(await ask(-1)).toBe(1);
    expect(await ask(HOUR_MS)).toBe(2);
    expect(await ask(HOUR_MS)).toBe(2);
    shared.clear();
    expect(await ask(HOUR_MS)).toBe(3);
  });
});
