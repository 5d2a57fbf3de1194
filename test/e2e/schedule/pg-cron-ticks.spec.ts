import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CronGrid } from '../../../lib/definition/cron-grid.js';
import { pgCronProblem, pgCronSchedule } from '../../../lib/definition/pg-cron-schedule.js';
import { LAST_CRON_TICK } from '../../../lib/postgres/pg-cron-procedure.sql.js';
import { TestDatabase } from '../../support/test-database.js';

const value = (low: number, high: number): fc.Arbitrary<string> =>
  fc.integer({ min: low, max: high }).map(String);

const step = fc.integer({ min: 1, max: 7 });

function field(low: number, high: number): fc.Arbitrary<string> {
  const range = fc
    .tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }))
    .map(([one, other]) => `${Math.min(one, other)}-${Math.max(one, other)}`);
  const item = fc.oneof(
    value(low, high),
    range,
    fc.tuple(range, step).map(([text, by]) => `${text}/${by}`),
    step.map((by) => `*/${by}`),
  );
  return fc.oneof(
    fc.constant('*'),
    fc.array(item, { minLength: 1, maxLength: 3 }).map((items) => items.join(',')),
  );
}

const days = fc.oneof(
  field(1, 31).map((text) => [text, '*']),
  field(0, 7).map((text) => ['*', text]),
);

const expression = fc
  .tuple(field(0, 59), field(0, 23), days, field(1, 12))
  .map(([minute, hour, [day, weekday], month]) => [minute, hour, day, month, weekday].join(' '));

const instant = fc.date({
  min: new Date('2024-01-01'),
  max: new Date('2032-01-01'),
  noInvalidDate: true,
});

describe('the scheduled times of pg_cron (features.md, row 9)', () => {
  let database: TestDatabase;

  beforeAll(async () => {
    database = await TestDatabase.create();
    await database.query('CREATE SCHEMA state');
    for (const { text } of LAST_CRON_TICK.create('state')) {
      await database.query(text);
    }
  });

  afterAll(async () => {
    await database.drop();
  });

  const lastTick = async (cron: string, at: Date): Promise<Date | undefined> => {
    const schedule = pgCronSchedule(cron);
    const [row] = await database.query<{ tick: Date | null }>(
      `SELECT state.${LAST_CRON_TICK.name}($1, $2) AS tick`,
      [JSON.stringify(schedule), at],
    );
    return row?.tick ?? undefined;
  };

  it("are those of the application's processes, for any expression", async () => {
    await fc.assert(
      fc.asyncProperty(expression, instant, async (cron, at) => {
        fc.pre(pgCronProblem(cron) === undefined);
        expect([cron, await lastTick(cron, at)]).toEqual([
          cron,
          new CronGrid(cron, 'UTC').lastTickAt(at),
        ]);
      }),
      { numRuns: 30 * Number(process.env.FC_RUNS ?? 5) },
    );
  });

  it.each([
    ['* * * * *', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'],
    ['* * * * *', '2026-01-01T00:00:59.999Z', '2026-01-01T00:00:00.000Z'],
    ['0 3 29 2 *', '2027-12-31T00:00:00.000Z', '2024-02-29T03:00:00.000Z'],
  ])('%s at %s: %s', async (cron, at, tick) => {
    expect(await lastTick(cron, new Date(at))).toEqual(new Date(tick));
  });

  it('are none if there never is one', async () => {
    expect(await lastTick('0 0 31 2 *', new Date())).toBeUndefined();
  });
});
