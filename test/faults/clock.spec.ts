import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { assertInvariants } from './support/invariants.js';
import { EVERY_SECOND, Ledger } from './support/ledger.js';

const MINUTES_MS = 60_000;

describe('clocks', () => {
  let ledger: Ledger;

  beforeEach(async () => {
    ledger = await Ledger.create();
  });

  afterEach(async () => {
    await ledger.drop();
  });

  const untilTicks = (count: number): Promise<unknown> =>
    ledger.database.until(
      `SELECT FROM materialized_views.refresh_history
       WHERE outcome = 'refreshed' AND tick IS NOT NULL HAVING count(*) >= ${count}`,
    );

  const ticks = (): Promise<{ tick: Date; is_early: boolean }[]> =>
    ledger.database.query(
      `SELECT tick, started_at < tick - interval '250 ms' AS is_early
       FROM materialized_views.refresh_history WHERE tick IS NOT NULL ORDER BY tick`,
    );

  it('23: of eight processes are spread over two seconds, and each tick is done once', async () => {
    const spread = [0, 5, 50, 200, -500, -1_000, -1_500, -2_000];
    await Promise.all(
      spread.map((clockOffsetMs) => ledger.start({ cron: EVERY_SECOND, clockOffsetMs })),
    );
    const before = (await ticks()).length;
    await untilTicks(before + 5);
    const done = (await ticks()).slice(before).map(({ tick }) => tick.getTime());
    expect(new Set(done).size).toBe(done.length);
    await assertInvariants(ledger);
  });

  it('24: jump five minutes ahead, back, and further back, and no tick is early or done twice', async () => {
    const [jumping] = await Promise.all([
      ledger.start({ cron: EVERY_SECOND }),
      ledger.start({ cron: EVERY_SECOND }),
    ]);
    for (const ms of [5 * MINUTES_MS, 0, -5 * MINUTES_MS, 1_500, 0]) {
      await jumping.ask({ do: 'shiftClock', ms });
      await untilTicks((await ticks()).length + 3);
    }
    expect((await ticks()).filter((tick) => tick.is_early)).toEqual([]);
    await assertInvariants(ledger);
  });

  it('24: of the only process are five minutes off either way, and its ticks are done', async () => {
    const only = await ledger.start({ cron: EVERY_SECOND });
    for (const ms of [5 * MINUTES_MS, -5 * MINUTES_MS, 0]) {
      await only.ask({ do: 'shiftClock', ms });
      await untilTicks((await ticks()).length + 2);
    }
    expect((await ticks()).filter((tick) => tick.is_early)).toEqual([]);
    await assertInvariants(ledger);
  });
});
