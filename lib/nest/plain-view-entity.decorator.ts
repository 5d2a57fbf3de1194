import { ViewEntity } from 'typeorm';
import {
  refuseSecondDecoration,
  setPlainViewOptions,
} from '../definition/definition-metadata.accessor.js';
import { validatePlainViewOptions } from '../definition/definition-validation.js';
import type { PlainViewEntityOptions } from '../definition/plain-view-entity.options.js';

/**
 * Declares a class as a plain view: a TypeORM ViewEntity that the library, and not TypeORM's `synchronize` or
 * `migration:generate`, creates and keeps, in one graph with the materialized views. It has no rows of its own and is
 * never refreshed. Where PostgreSQL can write through it, so can its repository.
 *
 * @throws InvalidDefinitionError when an option is unknown or not as it must be, naming the class,
 *   the option, what was expected and what was given
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
      expression: options.expression,
      synchronize: false,
    })(target);
    setPlainViewOptions(target, options);
  };
}
