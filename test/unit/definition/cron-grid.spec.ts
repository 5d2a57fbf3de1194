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

  /** Days on which clocks change. A local time that occurs twice is due once, and one in a gap at the gap's end. */
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
      '1:30 in spring, London, which is 2:00',
      '30 1 * * *',
      'Europe/London',
      '2026-03-29T12:00:00Z',
      '2026-03-29T01:00:00Z',
    ],
    [
      '1:30 in autumn, London, the first of two',
      '30 1 * * *',
      'Europe/London',
      '2026-10-25T12:00:00Z',
      '2026-10-25T00:30:00Z',
    ],
    [
      '2:15 in spring, Lord Howe, whose clocks change by half an hour, which is 2:30',
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2026-10-04T12:00:00Z',
      '2026-10-03T15:30:00Z',
    ],
    [
      '2:15 in autumn, Lord Howe',
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2026-04-05T12:00:00Z',
      '2026-04-04T15:45:00Z',
    ],
    [
      '1:45 in autumn, Lord Howe, the first of two',
      '45 1 * * *',
      'Australia/Lord_Howe',
      '2026-04-05T12:00:00Z',
      '2026-04-04T14:45:00Z',
    ],
    [
      '23:30 in spring, Nuuk, where the gap is the last hour of the day: midnight',
      '30 23 * * *',
      'America/Nuuk',
      '2026-03-29T12:00:00Z',
      '2026-03-29T01:00:00Z',
    ],
    [
      '23:59:59 of that Saturday alone, Nuuk',
      '59 59 23 * * 6',
      'America/Nuuk',
      '2026-03-31T12:00:00Z',
      '2026-03-29T01:00:00Z',
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

  it.each([
    ['America/New_York', '2026-03-08', '2026-11-01'],
    ['Europe/London', '2026-03-29', '2026-10-25'],
    ['Australia/Lord_Howe', '2026-04-04', '2026-10-03'],
  ])('has every quarter of an hour, even when clocks change: %s', (timeZone, ...days) => {
    const grid = new CronGrid('*/15 * * * *', timeZone);
    for (const day of days) {
      for (let quarter = 0; quarter < 96; quarter++) {
        const tick = new Date(at(day).getTime() + quarter * 15 * 60_000);
        expect(grid.lastTickAt(tick)).toEqual(tick);
        expect(grid.lastTickAt(new Date(tick.getTime() - 1))?.getTime()).toBe(
          tick.getTime() - 15 * 60_000,
        );
      }
    }
  });

  it.each([
    ['America/Nuuk', '2026-03-28T00:00:00Z'],
    ['America/Scoresbysund', '2027-03-27T00:00:00Z'],
    ['Africa/Cairo', '2026-04-23T00:00:00Z'],
    ['America/Havana', '2026-03-07T12:00:00Z'],
    ['America/Santiago', '2026-09-05T12:00:00Z'],
    ['America/Nuuk', '2026-10-24T00:00:00Z'],
  ])('has one tick a day through a change of clocks, looking both ways: %s %s', (zone, from) => {
    for (let minute = 0; minute < 1_440; minute += 10) {
      const grid = new CronGrid(`${minute % 60} ${Math.floor(minute / 60)} * * *`, zone);
      let tick = grid.nextTickAfter(at(from));
      for (let day = 0; day < 4 && tick; day++) {
        const next: Date | undefined = grid.nextTickAfter(tick);
        expect(next && grid.lastTickAt(new Date(next.getTime() - 1))).toEqual(tick);
        // A day has 23 to 25 hours, and a time in a gap is due at the gap's end.
        expect((Number(next) - tick.getTime()) / 3_600_000).toBeLessThanOrEqual(25);
        tick = next;
      }
    }
  });

  it('is the same from any starting time', () => {
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

  it.each(['Europe/Berlin', 'America/Nuuk', 'UTC'])(
    'returns the same from its cache as without, in %s',
    (zone) => {
      const day = fc.date({ min: at('2026-03-27'), max: at('2026-03-31'), noInvalidDate: true });
      fc.assert(
        fc.property(
          fc.constantFrom('30 2 * * *', '0 0 * * *', '*/7 * * * *', '0 * * * 0'),
          fc.array(day, { minLength: 2, maxLength: 20 }),
          (cron, instants) => {
            const grid = CronGrid.of(cron, zone);
            for (const instant of instants) {
              const found = new CronGrid(cron, zone).nextTickAfter(instant);
              expect(grid.nextTickAfter(instant)).toEqual(found);
              const last = new CronGrid(cron, zone).lastTickAt(instant);
              expect(grid.lastTickAt(instant)).toEqual(last);
            }
          },
        ),
        { numRuns: 50 },
      );
    },
  );
});
