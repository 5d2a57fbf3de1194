import { CronExpression } from '@nestjs/schedule';
import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

@MaterializedViewEntity({
  // Quoted, but without a double quote of its own: TypeORM 0.3 cannot read from such a view.
  name: 'daily Revenue',
  expression: 'SELECT day, sum(amount) AS revenue FROM orders GROUP BY day',
  refresh: { cron: CronExpression.EVERY_YEAR },
})
@Index(['day'], { unique: true })
export class DailyRevenue {
  @ViewColumn() day!: string;
  @ViewColumn() revenue!: string;
}
