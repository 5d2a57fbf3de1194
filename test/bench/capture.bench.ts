import type { INestApplicationContext } from '@nestjs/common';
import { MaterializedViewEntity, RefreshService } from '../../lib/index.js';
import { Client } from 'pg';
import { ViewColumn } from 'typeorm';
import { tickRequest } from '../../lib/refresh/occasions.js';
import { selectPending } from '../../lib/postgres/pending.sql.js';
import { listen, wakeUpChannel } from '../../lib/postgres/wake-up.sql.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide, type Way } from './side-by-side.js';
import { definitionOf, managed } from '../support/managed.js';

const BATCH_ROW_COUNT = 1_000;
const EVENT_COUNT = 5_000_000;
const GROUP_COUNT = 500_000;
const WRITTEN_ROW_COUNT = 300_000;
const WRITER_COUNT = 4;
const WOKEN = 'woken';
const TOTALS = { schema: 'bench', name: 'totals' };

@MaterializedViewEntity({
  ...TOTALS,
  expression: `SELECT user_id AS id, count(*) AS count, sum(value) AS total, max(moment) AS last
               FROM public.events GROUP BY user_id`,
  refresh: { skipUnchanged: true, on: ['public.captured'] },
})
class Totals {
  @ViewColumn() id!: string;
}

@MaterializedViewEntity({
  schema: 'bench',
  name: 'notified_total',
  expression: 'SELECT 1 AS id',
  refresh: { on: ['public.notified'] },
})
class NotifiedTotal {
  @ViewColumn() id!: number;
}

export const captureBenchmark: Benchmark = {
  name: 'capture',
  description:
    'writers of a table without capture, with it and with `notify`, and what asking for changes costs',
  run: (log) => withDatabase((database) => run(database, log)),
};

type Database = Parameters<Parameters<typeof withDatabase>[0]>[0];

async function run(database: Database, log: Log): Promise<Outcome> {
  log('fills the tables');
  for (const table of Object.keys(WAYS)) {
    await database.query(`CREATE TABLE ${table} (id bigint, value int, note text)`);
    await database.query(`CREATE INDEX ON ${table} (id)`);
    await database.query(
      `INSERT INTO ${table} SELECT id, 1, 'note' FROM generate_series(1, ${WRITTEN_ROW_COUNT}) AS id`,
    );
  }
  await database.query(
    `CREATE TABLE events AS
SELECT id, id % ${GROUP_COUNT} AS user_id, id % 1000 AS value, now() - id * interval '1s' AS moment
FROM generate_series(1, ${EVENT_COUNT}) AS id`,
  );
  await database.query('VACUUM (ANALYZE)');
  const clients = Array.from(
    { length: WRITER_COUNT + 1 },
    () => new Client({ connectionString: database.url }),
  );
  await Promise.all(clients.map((client) => client.connect()));
  const [listener, client, ...others] = clients as [Client, Client, ...Client[]];
  try {
    return await withApp(database.url, [Totals], async (app) => {
      // Creates the notifying capture triggers, with a state schema of their own.
      await withApp(database.url, [NotifiedTotal], () => Promise.resolve(), {
        stateSchema: WOKEN,
        wakeUp: 'notify',
      });
      await listener.query(listen(wakeUpChannel(WOKEN)));
      log('measures writers');
      const writers = [
        await measureWriters([client], 'One row a statement', 1, {
          rounds: 12,
          callsPerRound: 400,
        }),
        await measureWriters(
          [client, ...others],
          `One row a statement, ${WRITER_COUNT} writers at once`,
          1,
          { rounds: 12, callsPerRound: 200 },
        ),
        await measureWriters([client], `${BATCH_ROW_COUNT} rows a statement`, BATCH_ROW_COUNT, {
          rounds: 12,
          callsPerRound: 25,
        }),
      ];
      log('measures the check');
      return {
        facts: {
          ...(await serverFacts(database)),
          view: `${GROUP_COUNT.toLocaleString('en')} groups over ${EVENT_COUNT.toLocaleString('en')} rows`,
        },
        comparisons: [...writers, await measureCheck(client, app)],
      };
    });
  } finally {
    await Promise.all(clients.map((each) => each.end()));
  }
}

/** The tables, and how writes to them are captured. */
const WAYS = {
  plain: 'without capture',
  captured: 'with capture',
  notified: 'with capture and notify',
};

/** A call ends when each writer has written once. */
async function measureWriters(
  writers: Client[],
  title: string,
  rowCount: number,
  effort: { rounds: number; callsPerRound: number },
): Promise<Comparison> {
  const insertInto = ([table, name]: [string, string]): Way => ({
    name,
    call: () =>
      Promise.all(
        writers.map((writer) =>
          writer.query({
            name: `${table} ${rowCount}`,
            text: `INSERT INTO ${table} SELECT id, 1, 'note' FROM generate_series(1, $1::int) AS id`,
            values: [rowCount],
          }),
        ),
      ),
  });
  return sideBySide({
    ...effort,
    title,
    baselines: [WAYS.plain, WAYS.captured],
    warmUpCalls: 50,
    ways: Object.entries(WAYS).map(insertInto),
  });
}

async function measureCheck(client: Client, app: INestApplicationContext): Promise<Comparison> {
  const { text, values } = selectPending('materialized_views', [TOTALS]);
  const refreshes = app.get(RefreshService);
  const runner = managed(app).refresher.runner;
  // Without a tick, because each tick runs only once.
  const request = {
    ...tickRequest(definitionOf(app, Totals), new Date()),
    tick: undefined,
  };
  // The writers have left thousands of rows in the change log. After this refresh, none of them is pending.
  await refreshes.refresh(Totals, { mode: 'blocking' });
  return sideBySide({
    title: 'Whether anything changed',
    baselines: ['SELECT 1', 'a refresh'],
    rounds: 3,
    callsPerRound: 200,
    warmUpCalls: 50,
    ways: [
      { name: 'SELECT 1', call: () => client.query('SELECT 1') },
      { name: 'the question', call: () => client.query(text, values) },
      { name: 'a skipped refresh', call: () => skipped(runner.run(request)) },
      {
        name: 'a refresh',
        call: () => refreshes.refresh(Totals, { mode: 'blocking' }),
        callsPerRound: 1,
      },
    ],
  });
}

/** @throws Error if the refresh was not skipped, because then something else was measured */
async function skipped(run: Promise<{ outcome: string }>): Promise<void> {
  const { outcome } = await run;
  if (outcome !== 'skipped') {
    throw new Error(`Expected the refresh to be skipped, got ${outcome}`);
  }
}
