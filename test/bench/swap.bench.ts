import { refreshPolicy } from '../../lib/definition/refresh-policy.js';
import { MaterializedViewEntity } from '../../lib/index.js';
import { Client } from 'pg';
import { Index, ViewColumn } from 'typeorm';
import { refreshLockKey } from '../../lib/postgres/advisory-lock.js';
import { tryLock } from '../../lib/postgres/advisory-lock.sql.js';
import { Database } from '../../lib/postgres/database.js';
import { MATERIALIZED } from '../../lib/postgres/view-kind.js';
import { swapRows } from '../../lib/schema/row-swap.js';
import type { TestDatabase } from '../support/test-database.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { ReaderWatch } from './reader-watch.js';
import { type Comparison, sideBySide, type Way } from './side-by-side.js';

const ROW_COUNT = 500_000;
/** Table rows per view row. */
const ITEMS_PER_ROW = 4;
/** The percentage of the view's rows that change between refreshes. */
const CHANGED_PERCENTS = [0, 10, 100];
const ROUNDS = 3;
const [BLOCKING, CONCURRENTLY, SWAP] = ['blocking', 'CONCURRENTLY', 'swap'];

@MaterializedViewEntity({
  name: 'sales',
  schema: 'bench',
  expression: `SELECT id % ${ROW_COUNT} AS key, count(*) AS item_count, sum(amount) AS revenue
FROM items
GROUP BY 1`,
})
@Index(['key'], { unique: true })
class Sales {
  @ViewColumn() key!: string;
  @ViewColumn({ name: 'item_count' }) itemCount!: string;
  @ViewColumn() revenue!: string;
}

export const swapBenchmark: Benchmark = {
  name: 'swap',
  description: 'a refresh by swap, beside CONCURRENTLY and the blocking one',
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  log(`fills a table with ${(ROW_COUNT * ITEMS_PER_ROW).toLocaleString('en')} rows`);
  await fill(database);
  return withApp(database.url, [Sales], async () => {
    const comparisons: Comparison[] = [];
    const stalls: Outcome['facts'] = {};
    for (const percent of CHANGED_PERCENTS) {
      log(`measures with ${percent} % of the rows changed`);
      const watch = await ReaderWatch.start(
        database.url,
        'SELECT revenue FROM bench.sales WHERE key = 4711',
      );
      comparisons.push(await compare(database, watch, percent));
      await watch.stop();
      for (const [way, longestMs] of watch.longestWaitsMs) {
        stalls[`longest wait of a reader, ${percent} % changed, ${way}`] =
          `${longestMs.toFixed(1)} ms`;
      }
    }
    return { facts: { ...(await facts(database)), ...stalls }, comparisons };
  });
}

async function fill(database: TestDatabase): Promise<void> {
  await database.query('CREATE TABLE items (id bigint PRIMARY KEY, amount bigint)');
  await database.query(
    'INSERT INTO items SELECT id, id % 100 FROM generate_series(1, $1::bigint) AS id',
    [ROW_COUNT * ITEMS_PER_ROW],
  );
  await database.query('VACUUM (ANALYZE) items');
}

async function compare(
  database: TestDatabase,
  watch: ReaderWatch,
  percent: number,
): Promise<Comparison> {
  const client = new Client({ connectionString: database.url });
  await client.connect();
  const own = openDatabase(database.url);
  const way = (name: string, call: () => Promise<unknown>): Way => ({
    name,
    prepare: () => change(database, percent),
    call: () => watch.during(name, call),
  });
  try {
    return await sideBySide({
      title: `${percent} % changed`,
      baselines: [BLOCKING, CONCURRENTLY],
      rounds: ROUNDS,
      callsPerRound: 1,
      warmUpCalls: 1,
      ways: [
        way(BLOCKING, () => client.query('REFRESH MATERIALIZED VIEW bench.sales')),
        way(CONCURRENTLY, () => client.query('REFRESH MATERIALIZED VIEW CONCURRENTLY bench.sales')),
        way(SWAP, () => swapOnce(own)),
      ],
    });
  } finally {
    await own.close();
    await client.end();
  }
}

/** Changes `percent` % of the view's rows, and cleans up so that the next statement doesn't have to. */
async function change(database: TestDatabase, percent: number): Promise<void> {
  await database.query('UPDATE items SET amount = amount + 1 WHERE id <= $1', [
    (ROW_COUNT * percent) / 100,
  ]);
  await database.query('VACUUM (ANALYZE) items');
  await database.query('CHECKPOINT');
}

async function facts(database: TestDatabase): Promise<Outcome['facts']> {
  return {
    ...(await serverFacts(database)),
    view: `${ROW_COUNT.toLocaleString('en')} rows over ${(ROW_COUNT * ITEMS_PER_ROW).toLocaleString('en')}, one unique index`,
    readers: 'one, which looks a row up in a loop; the longest wait of all measured calls',
  };
}

function openDatabase(url: string): Database {
  return new Database({
    connection: { connectionString: url },
    poolSize: 1,
    stateSchema: 'materialized_views',
    onConnectionError: () => undefined,
  });
}

/** One refresh by swap, without the rest of a refresh by the library. */
async function swapOnce(database: Database): Promise<void> {
  const name = { schema: 'bench', name: 'sales' };
  const definition = {
    ...{
      target: Sales,
      kind: MATERIALIZED,
      name,
      query: '',
      columns: [{ name: 'key', property: 'key' }],
    },
    ...{ indexes: [], withData: true, dependsOn: [], refresh: refreshPolicy() },
  };
  const { stateSchema } = database;
  const lockTimeoutMs = 5_000;
  await database.transaction({ lockTimeoutMs, statementTimeoutMs: 0 }, async (session) => {
    await session.query(tryLock(refreshLockKey(name)));
    await swapRows(session, { stateSchema, definition, lockTimeoutMs });
  });
}
