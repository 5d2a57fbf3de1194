import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CronGrid } from '../../../lib/definition/cron-grid.js';
import { SpreadGrid } from '../../../lib/definition/spread-grid.js';

const gridOf = (cron: string, schema: string): SpreadGrid =>
  new SpreadGrid(new CronGrid(cron, 'Europe/Berlin'), schema);
const instants = fc.date({
  min: new Date('2026-01-01T00:00:00Z'),
  max: new Date('2027-12-31T00:00:00Z'),
  noInvalidDate: true,
});
const crons = fc.constantFrom(
  '* * * * * *',
  '*/5 * * * *',
  '30 2 * * *',
  '0 9,17 * * 1',
  '@yearly',
);

describe('SpreadGrid', () => {
  it('moves each tick to before the next one, by at most an hour', () => {
    fc.assert(
      fc.property(crons, fc.string(), instants, (cron, schema, instant) => {
        const grid = gridOf(cron, schema);
        const last = grid.lastTickAt(instant);
        const next = grid.nextTickAfter(instant);
        expect(next && next > instant).toBe(true);
        expect(last === undefined || last <= instant).toBe(true);
        // Both methods find the same ticks.
        expect(next && grid.lastTickAt(next)).toEqual(next);
        expect(last && grid.nextTickAfter(new Date(last.getTime() - 1))).toEqual(last);
        expect(next && grid.lastTickAt(new Date(next.getTime() - 1))).toEqual(last);
        const from = new CronGrid(cron, 'Europe/Berlin').lastTickAt(next ?? instant);
        expect((next?.getTime() ?? 0) - (from?.getTime() ?? 0)).toBeLessThan(3_600_000);
      }),
    );
  });

  it.each([
    ['*/10 * * * *', 600],
    ['0 3 * * *', 3_600],
  ])('spreads 500 schemas of %s over %i seconds', (cron, seconds) => {
    const perSecond = new Map<number, number>();
    const start = new Date('2026-06-01T01:00:00Z');
    for (let each = 0; each < 500; each++) {
      const tick = gridOf(cron, `tenant_${each}`).nextTickAfter(new Date(start.getTime() - 1));
      const second = ((tick?.getTime() ?? 0) - start.getTime()) / 1_000;
      perSecond.set(second, (perSecond.get(second) ?? 0) + 1);
    }
    const used = [...perSecond.keys()];
    expect(Math.max(...used)).toBeLessThan(seconds);
    expect(Math.max(...used)).toBeGreaterThan(0.9 * seconds);
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(5);
  });
});
