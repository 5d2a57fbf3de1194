import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { randomInt } from 'node:crypto';
import { FaultServer } from '../support/fault-server.js';
import { Network } from '../support/network.js';
import { Chaos } from './support/chaos.js';
import { assertConsistent, assertInvariants } from './support/invariants.js';
import { Ledger } from './support/ledger.js';
import { Random } from '../support/random.js';

/** `SOAK_SECONDS=600 npm run test:faults -- soak` is a long run. `SOAK_SEED` repeats the choice of faults. */
const SECONDS = Number(process.env.SOAK_SECONDS ?? 60);
const SEED = Number(process.env.SOAK_SEED ?? randomInt(2 ** 31));
const REPLICA_COUNT = 4;

const SUMMARY = `SELECT
  (floor(extract(epoch FROM clock_timestamp())) - floor(extract(epoch FROM $1::timestamptz)))::int AS "ticks due",
  count(DISTINCT tick) FILTER (WHERE outcome = 'refreshed')::int AS "ticks done",
  count(tick) FILTER (WHERE outcome = 'refreshed')::int AS "successes of ticks",
  (count(tick) FILTER (WHERE outcome = 'refreshed')
    - count(DISTINCT tick) FILTER (WHERE outcome = 'refreshed'))::int AS "ticks done twice",
  count(*) FILTER (WHERE outcome = 'refreshed' AND trigger = 'demand')::int AS "successes on demand",
  count(*) FILTER (WHERE outcome <> 'refreshed')::int AS "failures recorded",
  (SELECT max(revision) FROM public.entries) AS "transactions that wrote"
FROM materialized_views.refresh_history
WHERE started_at > $1 AND trigger <> 'sync'`;

const LONGEST_GAP = `SELECT max(gap)::text AS "longest time without a success" FROM (
  SELECT finished_at - lag(finished_at) OVER (ORDER BY finished_at) AS gap
  FROM materialized_views.refresh_history WHERE outcome = 'refreshed' AND started_at > $1
) AS gaps`;

/** The ticks that were not done. A later tick does the same work, so most of them don't matter. */
const LEFT = `WITH due AS (
  SELECT to_timestamp(second) AS tick
  FROM generate_series(
    ceil(extract(epoch FROM $1::timestamptz))::bigint,
    floor(extract(epoch FROM clock_timestamp()))::bigint
  ) AS second
), fate AS (
  SELECT tick,
         bool_or(outcome = 'refreshed') AS is_done,
         bool_or(outcome IN ('cancelled', 'timeout')) AS is_ended,
         bool_or(outcome = 'failed') AS is_failed
  FROM due LEFT JOIN materialized_views.refresh_history h USING (tick)
  GROUP BY tick
), gaps AS (
  SELECT fate.*,
         EXISTS (
           SELECT FROM materialized_views.refresh_history h
           WHERE h.started_at < fate.tick + interval '1 s'
             AND h.finished_at > fate.tick + interval '1 s'
         ) AS is_busy
  FROM fate WHERE is_done IS NOT TRUE
)
SELECT count(*) FILTER (WHERE is_ended)::int AS "left: cancelled or too long",
       count(*) FILTER (WHERE is_failed AND NOT is_ended)::int AS "left: failed until the next one",
       count(*) FILTER (WHERE is_failed IS NULL AND is_busy)::int AS "left: another refresh took until the next one",
       count(*) FILTER (WHERE is_failed IS NULL AND NOT is_busy)::int AS "left: nobody could attempt it"
FROM gaps`;

describe(`${REPLICA_COUNT} replicas for ${SECONDS} s, seed ${SEED}`, () => {
  let server: FaultServer;
  let ledger: Ledger;
  let network: Network;

  beforeAll(async () => {
    server = await FaultServer.start();
    ledger = await Ledger.create(server.url);
    network = await Network.to(ledger.database.url);
  });

  afterAll(async () => {
    await ledger.drop();
    await network.stop();
    await server.stop();
  });

  it(
    '50: survive random faults',
    async () => {
      const chaos = new Chaos(ledger, server, network, new Random(SEED));
      await chaos.start(REPLICA_COUNT);
      const [begin] = await ledger.database.query<{ at: Date }>('SELECT clock_timestamp() AS at');
      await chaos.rage(SECONDS * 1_000, () => assertConsistent(ledger));
      await assertInvariants(ledger);
      const [totals] = await ledger.database.query(SUMMARY, [begin?.at]);
      const [gap] = await ledger.database.query(LONGEST_GAP, [begin?.at]);
      const [left] = await ledger.database.query(LEFT, [begin?.at]);
      print({ seed: SEED, ...totals, ...left, ...gap, ...chaos.counts });
    },
    SECONDS * 1_000 + 240_000,
  );
});

function print(summary: Record<string, unknown>): void {
  const lines = Object.entries(summary).map(
    ([name, value]) => `${name.padEnd(48)}${String(value)}`,
  );
  process.stdout.write(`\n${lines.join('\n')}\n`);
}
