import { getDataSourceToken, getRepositoryToken } from '@nestjs/typeorm';
import { MaterializedViewEntity } from '../../lib/index.js';
import { type DataSource, Index, type Repository, ViewColumn } from 'typeorm';
import type { TestDatabase } from '../support/test-database.js';
import { withApp } from './bench-app.js';
import { serverFacts, withDatabase } from './bench-database.js';
import type { Benchmark, Log, Outcome } from './benchmark.js';
import { type Comparison, sideBySide } from './side-by-side.js';

const ROW_COUNT = 2_000_000;
const DAY_COUNT = 90;
const LIVE_QUERY = `SELECT day,
       count(*) AS order_count,
       sum(amount) AS revenue,
       max(amount) AS largest
FROM orders
GROUP BY day`;

@MaterializedViewEntity({ name: 'daily_revenue', schema: 'bench', expression: LIVE_QUERY })
@Index(['day'], { unique: true })
class DailyRevenue {
  @ViewColumn() day!: string;
  @ViewColumn({ name: 'order_count' }) orderCount!: string;
  @ViewColumn() revenue!: string;
  @ViewColumn() largest!: string;
}

export const readBenchmark: Benchmark = {
  name: 'read',
  description: 'a dashboard read from its view, beside SELECT 1 and the live query',
  run: (log) => withDatabase((database) => run(database, log)),
};

async function run(database: TestDatabase, log: Log): Promise<Outcome> {
  log(`fills a table with ${ROW_COUNT.toLocaleString('en')} rows`);
  await fill(database);
  return withApp(database.url, [DailyRevenue], async (app) => {
    log('measures');
    const comparison = await measure(
      app.get<DataSource>(getDataSourceToken()),
      app.get<Repository<DailyRevenue>>(getRepositoryToken(DailyRevenue)),
    );
    return { facts: await facts(database), comparisons: [comparison] };
  });
}

async function fill(database: TestDatabase): Promise<void> {
  await database.query('CREATE TABLE orders (id bigint, day date, amount numeric(10, 2))');
  await database.query(
    `INSERT INTO orders
SELECT id, date '2025-01-01' + (id % $2)::int, (id * 7919 % 100000) / 100.0
FROM generate_series(1, $1::bigint) AS id`,
    [ROW_COUNT, DAY_COUNT],
  );
  await database.query('VACUUM (ANALYZE) orders');
}

async function measure(
  dataSource: DataSource,
  view: Repository<DailyRevenue>,
): Promise<Comparison> {
  return sideBySide({
    title: 'One connection pool, one reader',
    baselines: ['SELECT 1', 'live query'],
    rounds: 20,
    callsPerRound: 50,
    warmUpCalls: 300,
    ways: [
      { name: 'SELECT 1', call: () => dataSource.query('SELECT 1') },
      {
        name: `view, ${DAY_COUNT} rows, raw SQL`,
        call: () => dataSource.query('SELECT * FROM bench.daily_revenue ORDER BY day'),
      },
      {
        name: `view, ${DAY_COUNT} rows, repository`,
        call: () => view.find({ order: { day: 'ASC' } }),
      },
      {
        name: 'view, 1 row by key, repository',
        call: () => view.findOneBy({ day: '2025-02-01' }),
      },
      {
        name: 'live query',
        call: () => dataSource.query(`${LIVE_QUERY}\nORDER BY day`),
        callsPerRound: 2,
      },
    ],
  });
}

async function facts(database: TestDatabase): Promise<Outcome['facts']> {
  const [size] = await database.query<{ table_size: string; view_rows: string }>(
    `SELECT pg_size_pretty(pg_table_size('orders')) AS table_size,
       (SELECT count(*) FROM bench.daily_revenue) AS view_rows`,
  );
  return {
    ...(await serverFacts(database)),
    'base table': `${ROW_COUNT.toLocaleString('en')} rows, ${size?.table_size}`,
    view: `${size?.view_rows} rows: count, sum and max by day`,
  };
}
