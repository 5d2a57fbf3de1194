import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';
import { SCHEMA } from '../tables/schema.constants.js';

/** @param featureLag the view `feature_lag` or, for the live query, a subquery in its place */
export function adoptionYearQuery(featureLag: string): string {
  return `
    SELECT
      lag.area,
      lag.year,
      count(*)::int AS features,
      (percentile_cont(0.5) WITHIN GROUP (ORDER BY lag.days))::int AS median_days,
      (percentile_cont(0.9) WITHIN GROUP (ORDER BY lag.days))::int AS p90_days
    FROM ${featureLag} AS lag
    GROUP BY lag.area, lag.year
  `;
}

/** How many features of an area reached all seven browsers in a year, and how long they took. */
@MaterializedViewEntity({
  schema: SCHEMA,
  name: 'adoption_year',
  expression: adoptionYearQuery('browser_compat.feature_lag'),
  // At five past, because the view that it reads is refreshed on the hour.
  refresh: { cron: '5 * * * *' },
})
@Index('adoption_year_key', ['area', 'year'], { unique: true })
export class AdoptionYear {
  @ViewColumn()
  area!: string;

  @ViewColumn()
  year!: number;

  @ViewColumn()
  features!: number;

  @ViewColumn({ name: 'median_days' })
  medianDays!: number;

  @ViewColumn({ name: 'p90_days' })
  p90Days!: number;
}
