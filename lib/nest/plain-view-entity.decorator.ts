import { ViewEntity } from 'typeorm';
import type { ViewEntityOptions } from 'typeorm/decorator/options/ViewEntityOptions.js';
import {
  refuseSecondDecoration,
  setPlainViewOptions,
} from '../definition/definition-metadata.accessor.js';
import { validatePlainViewOptions } from '../definition/definition-validation.js';
import type { PlainViewEntityOptions } from '../definition/plain-view-entity.options.js';

/**
 * Declares a class as a plain view: a TypeORM ViewEntity that this library creates and changes, not TypeORM's
 * `synchronize` or `migration:generate`. It is in the same dependency graph as materialized views, has no rows of its
 * own and is never refreshed. If PostgreSQL can write through it, so can its repository.
 *
 * @throws InvalidDefinitionError if an option is unknown or has a wrong value; it names the class, the option, what
 *   was expected and what it got
 * @example
 * ```ts
 * \@PlainViewEntity({
 *   name: 'open_orders',
 *   expression: `SELECT id, customer_id, amount FROM orders WHERE closed_at IS NULL`,
 *   checkOption: 'local',
 * })
 * export class OpenOrder {
 *   \@PrimaryColumn() id!: number;
 *   \@ViewColumn() amount!: string;
 * }
 * ```
 */
export function PlainViewEntity(options: PlainViewEntityOptions): ClassDecorator {
  return (target) => {
    refuseSecondDecoration(target, 'PlainViewEntity');
    validatePlainViewOptions(target.name, options);
    ViewEntity({
      name: options.name,
      schema: options.schema,
      // TypeORM never calls it, because it leaves the view alone.
      expression: options.expression as ViewEntityOptions['expression'],
      synchronize: false,
    })(target);
    setPlainViewOptions(target, options);
  };
}
