import { CronExpression } from '@nestjs/schedule';
import { MaterializedViewEntity } from 'nestjs-materialized-views';
import type { DataSource, SelectQueryBuilder } from 'typeorm';
import { Index, ViewColumn } from 'typeorm';
import { SCHEMA } from '../tables/schema.constants.js';
import { SupportStatement } from '../tables/support-statement.entity.js';

/** How many features a browser gained in a year, and in total by the end of it. */
@MaterializedViewEntity({
  schema: SCHEMA,
  name: 'browser_year',
  expression: gainedFeatures,
  refresh: { cron: CronExpression.EVERY_MINUTE },
})
@Index('browser_year_key', ['browser', 'year'], { unique: true })
export class BrowserYear {
  @ViewColumn()
  browser!: string;

  @ViewColumn()
  year!: number;

  @ViewColumn()
  gained!: number;

  @ViewColumn()
  total!: number;
}

export function gainedFeatures(dataSource: DataSource): SelectQueryBuilder<SupportStatement> {
  const year = 'extract(year FROM release.releasedOn)::int';
  return dataSource
    .createQueryBuilder(SupportStatement, 'statement')
    .select('statement.browserId', 'browser')
    .addSelect(year, 'year')
    .addSelect('count(*)::int', 'gained')
    .addSelect(
      `(sum(count(*)) OVER (PARTITION BY statement.browserId ORDER BY ${year}))::int`,
      'total',
    )
    .innerJoin('statement.release', 'release')
    .where('statement.isFull')
    .andWhere('release.releasedOn IS NOT NULL')
    .andWhere('release.status IN (:...statuses)', { statuses: ['retired', 'esr', 'current'] })
    .groupBy('statement.browserId')
    .addGroupBy(year);
}
