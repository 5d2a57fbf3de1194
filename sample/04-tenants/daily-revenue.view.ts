import { CronExpression } from '@nestjs/schedule';
import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';
import { Order } from './order.entity.js';
import { tenantSchemas } from './tenant.entity.js';

@MaterializedViewEntity({
  name: 'daily_revenue',
  schemas: tenantSchemas,
  expression: (dataSource) =>
    dataSource
      .createQueryBuilder(Order, 'o')
      .select('o.day::text', 'day')
      .addSelect('sum(o.amount)::int', 'revenue')
      .groupBy('o.day'),
  refresh: { cron: CronExpression.EVERY_HOUR },
})
@Index(['day'], { unique: true })
export class DailyRevenue {
  @ViewColumn()
  day!: string;

  @ViewColumn()
  revenue!: number;
}
