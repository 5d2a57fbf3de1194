import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CronGrid } from '../../../lib/definition/cron-grid.js';

const at = (text: string): Date => new Date(text);

describe('CronGrid', () => {
  it.each([
    ['on a tick', '2026-01-01T00:10:00.000Z', '2026-01-01T00:10:00.000Z'],
    ['just before one', '2026-01-01T00:09:59.999Z', '2026-01-01T00:00:00.000Z'],
    ['just after one', '2026-01-01T00:10:00.001Z', '2026-01-01T00:10:00.000Z'],
    ['between two', '2026-01-01T00:15:00.000Z', '2026-01-01T00:10:00.000Z'],
  ])('has the last tick %s', (_, instant, tick) => {
    expect(new CronGrid('*/10 * * * *', 'UTC').lastTickAt(at(instant))).toEqual(at(tick));
  });

  /** Days on which clocks change: an instant exists once, however often its local time does. */
  it.each([
    [
      '2:30 in spring, New York, which is 3:00',
      '30 2 * * *',
      'America/New_York',
      '2026-03-08T12:00:00Z',
      '2026-03-08T07:00:00Z',
    ],
    [
      '1:30 in autumn, New York',
      '30 1 * * *',
      'America/New_York',
      '2026-11-01T12:00:00Z',
      '2026-11-01T05:30:00Z',
    ],
    [
      'noon, Berlin in summer',
      '0 12 * * *',
      'Europe/Berlin',
      '2026-07-01T23:00:00Z',
      '2026-07-01T10:00:00Z',
    ],
    [
      'noon, Berlin in winter',
      '0 12 * * *',
      'Europe/Berlin',
      '2026-12-01T23:00:00Z',
      '2026-12-01T11:00:00Z',
    ],
    [
      'midnight, Kathmandu',
      '0 0 * * *',
      'Asia/Kathmandu',
      '2026-05-05T20:00:00Z',
      '2026-05-05T18:15:00Z',
    ],
  ])('follows a time zone: %s', (_, cron, timeZone, instant, tick) => {
    expect(new CronGrid(cron, timeZone).lastTickAt(at(instant))).toEqual(at(tick));
  });

  it('is the same from whatever instant it is asked', () => {
    const grid = new CronGrid('*/7 * * * * *', 'UTC');
    fc.assert(
      fc.property(
        fc.date({ min: at('2020-01-01'), max: at('2030-01-01'), noInvalidDate: true }),
        (instant) => {
          const tick = grid.lastTickAt(instant);
          expect(tick && tick <= instant).toBe(true);
          expect((tick?.getTime() ?? 1) % 1_000).toBe(0);
          const next = tick && grid.nextTickAfter(tick);
          expect(next && next > instant).toBe(true);
          expect(next && grid.lastTickAt(next)).toEqual(next);
        },
      ),
    );
  });
});
