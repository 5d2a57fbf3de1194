import { CronExpression } from '@nestjs/schedule';
import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';

@MaterializedViewEntity({
  // Needs quoting, but contains no double quote, because TypeORM 0.3 can't read from a view with one in its name.
  name: 'daily Revenue',
  expression: 'SELECT day, sum(amount) AS revenue FROM orders GROUP BY day',
  refresh: { cron: CronExpression.EVERY_YEAR },
})
@Index(['day'], { unique: true })
export class DailyRevenue {
  @ViewColumn() day!: string;
  @ViewColumn() revenue!: string;
}
