import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

@MaterializedViewEntity({
  schema: 'sample_migrations',
  name: 'daily_revenue',
  expression: `SELECT day, sum(amount) AS revenue FROM sample_migrations."order" GROUP BY day`,
})
@Index('daily_revenue_key', ['day'], { unique: true })
export class DailyRevenue {
  @ViewColumn()
  day!: string;

  @ViewColumn()
  revenue!: string;
}
