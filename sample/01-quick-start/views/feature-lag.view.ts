import { CronExpression } from '@nestjs/schedule';
import { MaterializedViewEntity } from 'nestjs-materialized-views';
import { Index, ViewColumn } from 'typeorm';
import { SCHEMA } from '../tables/schema.constants.js';

/**
 * The seven browsers are those of Baseline. Leaves out features older than Edge, the youngest of them: their lag would show
 * when Edge was released, not how long the feature took.
 */
export const FEATURE_LAG_QUERY = `
  WITH arrival AS (
    SELECT statement.feature_id, min(release.released_on) AS arrived_on
    FROM browser_compat.support_statement AS statement
    JOIN browser_compat.release AS release
      ON release.browser_id = statement.browser_id
      AND release.version = statement.version_added
    WHERE statement.is_full
      AND release.released_on IS NOT NULL
      AND release.status IN ('retired', 'esr', 'current')
      AND statement.browser_id IN (
        'chrome', 'chrome_android', 'edge', 'firefox', 'firefox_android', 'safari', 'safari_ios'
      )
    GROUP BY statement.feature_id, statement.browser_id
  )
  SELECT
    feature.path AS feature,
    feature.area,
    extract(year FROM max(arrival.arrived_on))::int AS year,
    min(arrival.arrived_on)::text AS first_on,
    max(arrival.arrived_on)::text AS everywhere_on,
    max(arrival.arrived_on) - min(arrival.arrived_on) AS days
  FROM arrival
  JOIN browser_compat.feature AS feature ON feature.id = arrival.feature_id
  GROUP BY feature.id
  HAVING count(*) = 7
    AND min(arrival.arrived_on) > (
      SELECT min(released_on) FROM browser_compat.release WHERE browser_id = 'edge'
    )
`;

/** How many days a feature took from the first of the seven browsers to the last. */
@MaterializedViewEntity({
  schema: SCHEMA,
  name: 'feature_lag',
  expression: FEATURE_LAG_QUERY,
  refresh: { cron: CronExpression.EVERY_HOUR },
})
@Index('feature_lag_key', ['feature'], { unique: true })
@Index('feature_lag_slowest', ['area', 'days', 'feature'])
export class FeatureLag {
  @ViewColumn()
  feature!: string;

  @ViewColumn()
  area!: string;

  /** The year in which it reached the last of the browsers. */
  @ViewColumn()
  year!: number;

  /** `YYYY-MM-DD`, as text: pg would turn a `date` into a Date at midnight in the local time zone. */
  @ViewColumn({ name: 'first_on' })
  firstOn!: string;

  @ViewColumn({ name: 'everywhere_on' })
  everywhereOn!: string;

  @ViewColumn()
  days!: number;
}
