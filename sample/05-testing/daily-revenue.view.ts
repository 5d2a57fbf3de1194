import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

@MaterializedViewEntity({
  name: 'daily_revenue',
  expression: `SELECT day::text, sum(amount)::int AS revenue FROM "order" GROUP BY day`,
  refresh: { on: 'sources' },
})
@Index('daily_revenue_key', ['day'], { unique: true })
export class DailyRevenue {
  @ViewColumn()
  day!: string;

  @ViewColumn()
  revenue!: number;
}
