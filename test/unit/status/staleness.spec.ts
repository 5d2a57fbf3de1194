import { describe, expect, it } from '@jest/globals';
import { CronGrid } from '../../../lib/definition/cron-grid.js';
import { maxStalenessOf } from '../../../lib/status/staleness.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const scheduled = (cron: string): Parameters<typeof maxStalenessOf>[0] => ({
  schedule: { cron, timeZone: 'UTC', scheduler: 'application', grid: new CronGrid(cron, 'UTC') },
});

const allowed = (cron: string, since: string, meanDurationMs = 0): number | undefined =>
  maxStalenessOf(scheduled(cron), { since: new Date(since), meanDurationMs });

describe('maxStalenessOf', () => {
  it('allows one failed tick, plus the duration of a refresh', () => {
    expect(allowed('*/10 * * * *', '2026-01-05T10:00:01Z', 5_000)).toBe(
      20 * MINUTE - 1_000 + 5_000,
    );
  });

  it('counts a refresh that begins a moment before a tick as that tick', () => {
    expect(allowed('*/10 * * * *', '2026-01-05T09:59:59.750Z')).toBe(20 * MINUTE + 250);
  });

  it('counts ticks from a refresh between two of them', () => {
    expect(allowed('*/10 * * * *', '2026-01-05T10:07:00Z')).toBe(13 * MINUTE);
  });

  it('waits for two ticks after a weekend, however long that was', () => {
    const friday = '2026-01-09T17:00:00Z';
    const mondayAtTen = new Date('2026-01-12T10:00:00Z').getTime();
    expect(allowed('0 9-17 * * 1-5', friday)).toBe(mondayAtTen - new Date(friday).getTime());
  });

  it('distinguishes two ticks that are a second apart', () => {
    expect(allowed('* * * * * *', '2026-01-05T10:00:00.020Z')).toBe(1_980);
  });

  it('has no limit for a view without a schedule, or whose schedule ends', () => {
    const age = { since: new Date('2026-01-05T10:00:00Z'), meanDurationMs: 0 };
    expect(maxStalenessOf({}, age)).toBeUndefined();
    expect(maxStalenessOf(scheduled('0 0 0 6 1 * 2026'), age)).toBeUndefined();
  });

  it('uses a declared limit instead', () => {
    const age = { since: new Date('2026-01-05T10:00:00Z'), meanDurationMs: 5_000 };
    expect(maxStalenessOf(scheduled('* * * * *'), age, HOUR)).toBe(HOUR);
    expect(maxStalenessOf({}, age, HOUR)).toBe(HOUR);
  });
});
