import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { ViewColumn } from 'typeorm';

/** How much was sold in total. Refreshed only after writes to the table, by whichever program. */
@MaterializedViewEntity({
  schema: 'sample_worker',
  name: 'sale_total',
  expression: `SELECT count(*)::int AS sales, sum(amount)::int AS sold FROM sample_worker.sale`,
  refresh: { on: 'sources', debounce: '200ms' },
})
export class SaleTotal {
  @ViewColumn()
  sales!: number;

  @ViewColumn()
  sold!: number;
}
