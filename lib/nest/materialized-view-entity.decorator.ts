import { Cron } from '@nestjs/schedule';
import { ViewEntity } from 'typeorm';
import type { ViewEntityOptions } from 'typeorm/decorator/options/ViewEntityOptions.js';
import {
  refuseSecondDecoration,
  setViewOptions,
} from '../definition/definition-metadata.accessor.js';
import { validateViewOptions } from '../definition/definition-validation.js';
import type { MaterializedViewEntityOptions } from '../definition/materialized-view-entity.options.js';
import { markPrimaryColumns } from '../definition/primary-columns.js';
import { DEFAULT_TIME_ZONE } from '../definition/refresh-validation.js';

/**
 * Declares a class as a materialized view: a TypeORM ViewEntity that this library creates and changes, not TypeORM's
 * `synchronize` or `migration:generate`.
 *
 * Put it above `@Index`: if the entity has no primary columns, the columns of the first unique index become its
 * primary columns, and a decorator sees only the decorators below it.
 *
 * @throws InvalidDefinitionError if an option is unknown or has a wrong value; it names the class, the option, what
 *   was expected and what it got
 * @example
 * ```ts
 * \@MaterializedViewEntity({
 *   name: 'daily_revenue',
 *   expression: `SELECT day, sum(amount) AS revenue FROM orders GROUP BY day`,
 *   refresh: { cron: CronExpression.EVERY_10_MINUTES },
 * })
 * \@Index(['day'], { unique: true })
 * export class DailyRevenue {
 *   \@ViewColumn() day!: string;
 *   \@ViewColumn() revenue!: string;
 * }
 * ```
 */
export function MaterializedViewEntity(options: MaterializedViewEntityOptions): ClassDecorator {
  return (target) => {
    refuseSecondDecoration(target, 'MaterializedViewEntity');
    validateViewOptions(target.name, options);
    ViewEntity({
      name: options.name,
      schema: options.schema,
      // TypeORM never calls it, because it leaves the view alone.
      expression: options.expression as ViewEntityOptions['expression'],
      materialized: true,
      synchronize: false,
    })(target);
    setViewOptions(target, options);
    markPrimaryColumns(target, options.indexes ?? []);
    const { cron, timeZone = DEFAULT_TIME_ZONE } = options.refresh ?? {};
    if (cron !== undefined) {
      (Cron(cron, { timeZone }) as ClassDecorator)(target);
    }
  };
}
