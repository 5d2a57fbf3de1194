import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

/** How much of each product was sold. */
@MaterializedViewEntity({
  schema: 'sample_worker',
  name: 'product_sale',
  expression: `SELECT product, sum(amount)::int AS sold FROM sample_worker.sale GROUP BY product`,
  refresh: { cron: '*/2 * * * * *' },
})
@Index('product_sale_key', ['product'], { unique: true })
export class ProductSale {
  @ViewColumn()
  product!: string;

  @ViewColumn()
  sold!: number;
}
