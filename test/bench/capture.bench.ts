import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Client } from 'pg';
import { ViewColumn } from 'typeorm';
import { type ChangeRow, selectChanges } from '../../lib/postgres/change.sql.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide, type Way } from './side-by-side.js';

const BATCH_ROW_COUNT = 1_000;
const EVENT_COUNT = 5_000_000;
const GROUP_COUNT = 500_000;
const WRITTEN_ROW_COUNT = 300_000;
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

export const captureBenchmark: Benchmark = {
  name: 'capture',
  description: 'writers of a table with and without capture, and what asking for changes costs',
  run: (log) => withDatabase((database) => run(database, log)),
};

type Database = Parameters<Parameters<typeof withDatabase>[0]>[0];

async function run(database: Database, log: Log): Promise<Outcome> {
  log('fills the tables');
  for (const table of ['plain', 'captured']) {
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
  const client = new Client({ connectionString: database.url });
  await client.connect();
  try {
    return await withApp(database.url, [Totals], async () => {
      log('measures writers');
      const writers = [
        await measureWriters(client, 'One row a statement', 1, { rounds: 12, callsPerRound: 400 }),
        await measureWriters(client, `${BATCH_ROW_COUNT} rows a statement`, BATCH_ROW_COUNT, {
          rounds: 12,
          callsPerRound: 25,
        }),
      ];
      log('measures the detector');
      return {
        facts: {
          ...(await serverFacts(database)),
          view: `${GROUP_COUNT.toLocaleString('en')} groups over ${EVENT_COUNT.toLocaleString('en')} rows`,
        },
        comparisons: [...writers, await measureDetector(client)],
      };
    });
  } finally {
    await client.end();
  }
}

async function measureWriters(
  client: Client,
  title: string,
  rowCount: number,
  effort: { rounds: number; callsPerRound: number },
): Promise<Comparison> {
  const insertInto = (table: string): Way => ({
    name: table === 'plain' ? 'without capture' : 'with capture',
    call: () =>
      client.query({
        name: `${table} ${rowCount}`,
        text: `INSERT INTO ${table} SELECT id, 1, 'note' FROM generate_series(1, $1::int) AS id`,
        values: [rowCount],
      }),
  });
  return sideBySide({
    ...effort,
    title,
    baselines: ['without capture'],
    warmUpCalls: 50,
    ways: [insertInto('plain'), insertInto('captured')],
  });
}

async function measureDetector(client: Client): Promise<Comparison> {
  const { text, values } = selectChanges('materialized_views', [TOTALS]);
  // As a refresh leaves it: with nothing to be seen in a log of thousands of rows.
  const { rows } = await client.query<ChangeRow>(text, values);
  await client.query(
    'UPDATE materialized_views.view_state SET watermark = pg_current_snapshot(), source_signature = $1',
    [rows[0]?.signature],
  );
  return sideBySide({
    title: 'Whether anything changed',
    baselines: ['SELECT 1', 'REFRESH'],
    rounds: 3,
    callsPerRound: 200,
    warmUpCalls: 50,
    ways: [
      { name: 'SELECT 1', call: () => client.query('SELECT 1') },
      { name: 'detector', call: () => client.query(text, values) },
      {
        name: 'REFRESH',
        call: () => client.query('REFRESH MATERIALIZED VIEW bench.totals'),
        callsPerRound: 1,
      },
    ],
  });
}
