import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';
import { Order } from './order.entity.js';

@MaterializedViewEntity({
  name: 'daily_orders',
  expression: (dataSource) =>
    dataSource
      .createQueryBuilder()
      .select('o.day', 'day')
      .addSelect('count(*)::int', 'orders')
      .from(Order, 'o')
      .groupBy('o.day'),
  refresh: { cron: '*/5 * * * *' },
})
@Index('daily_orders_day', ['day'], { unique: true })
export class DailyOrders {
  @ViewColumn() day!: string;
  @ViewColumn() orders!: number;
}
