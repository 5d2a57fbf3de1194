import { type ColumnOptions, ViewColumn } from 'typeorm';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { MaterializedViewEntity } from './materialized-view-entity.decorator.js';
import type { MaterializedViewEntityOptions } from '../definition/materialized-view-entity.options.js';
import {
  aBoolean,
  aFilledText,
  anIdentifier,
  aRelationName,
  checkOptions,
  listOf,
  matching,
  objectOf,
} from '../definition/option-rules.js';

/** A column of a view that has no class, as in the `columns` of TypeORM's EntitySchema. */
export type ViewColumnDefinition = Pick<ColumnOptions, 'name' | 'type' | 'primary' | 'transformer'>;

/** The options of `defineMaterializedView`: those of `@MaterializedViewEntity`, a name, and columns. */
export interface DefineMaterializedViewOptions<
  Property extends string = string,
> extends MaterializedViewEntityOptions {
  /** At most 63 bytes. The class gets its name from it, in PascalCase. */
  name: string;
  /** The properties of a row and their columns, or just the names if they are the same. */
  columns: Property[] | Record<Property, ViewColumnDefinition>;
}

/**
 * Declares a materialized view without writing a class, like TypeORM's EntitySchema for a table. It returns a
 * decorated class that you can use like any other.
 *
 * Nest derives the token of a repository from the class name. So if you inject two views with the same name in
 * different schemas, write classes for them.
 *
 * @throws InvalidDefinitionError if an option is unknown or has a wrong value
 * @example
 * ```ts
 * interface DailyRevenue {
 *   day: string;
 *   revenue: string;
 * }
 *
 * export const DailyRevenue = defineMaterializedView<DailyRevenue>({
 *   name: 'daily_revenue',
 *   expression: `SELECT day::text AS day, sum(amount) AS total FROM orders GROUP BY day`,
 *   columns: { day: { type: 'text' }, revenue: { name: 'total' } },
 *   indexes: [{ name: 'daily_revenue_day', keys: ['day'], unique: true }],
 * });
 *
 * MaterializedViewsModule.forRoot({ views: [DailyRevenue] });
 * dataSource.getRepository(DailyRevenue).findBy({ day: '2026-01-31' });
 * ```
 */
export function defineMaterializedView<Row extends object = Record<string, unknown>>(
  // NoInfer: otherwise an array of names would be taken for a row with an array's properties.
  options: DefineMaterializedViewOptions<NoInfer<keyof Row & string>>,
): new () => Row {
  requireName(options);
  const { columns, ...viewOptions } = options;
  const { name } = viewOptions;
  const subject = `defineMaterializedView of "${name}"`;
  checkOptions(subject, columnsRule, { columns }, InvalidDefinitionError);
  const View = class {};
  Object.defineProperty(View, 'name', { value: pascalCase(name) });
  for (const [property, column] of columnEntries(columns)) {
    ViewColumn(column)(View.prototype, property);
  }
  MaterializedViewEntity(viewOptions)(View);
  return View as new () => Row;
}

/** There is no class whose name the naming strategy could use. */
function requireName(options: DefineMaterializedViewOptions | undefined): void {
  const { name } = options ?? {};
  const rules = objectOf<Pick<DefineMaterializedViewOptions, 'name'>>({ name: aRelationName }, [
    'name',
  ]);
  checkOptions('defineMaterializedView', rules, { name }, InvalidDefinitionError);
}

/** `daily_revenue` -> `DailyRevenue`. A name without letters and digits stays as it is. */
function pascalCase(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('') || name;
}

function columnEntries(
  columns: DefineMaterializedViewOptions['columns'],
): [string, ViewColumnDefinition][] {
  return Array.isArray(columns)
    ? columns.map((property) => [property, {}])
    : Object.entries(columns);
}

const aColumn = objectOf<ViewColumnDefinition>({
  name: anIdentifier,
  type: matching(
    "a type of TypeORM's, as in `'bigint'`",
    (value) => typeof value === 'string' || typeof value === 'function',
  ),
  primary: aBoolean,
  transformer: matching(
    'one that has `from` and `to`',
    (value) => typeof value === 'object' && value !== null,
  ),
});

const columnsRule = objectOf<Pick<DefineMaterializedViewOptions, 'columns'>>(
  {
    columns: (value, at) => {
      if (Array.isArray(value)) {
        listOf(aFilledText)(value, at);
      } else if (typeof value !== 'object' || value === null) {
        throw at.refuse('an object of columns, or an array of their names', value);
      } else {
        Object.entries(value).forEach(([property, column]) => aColumn(column, at.member(property)));
      }
      const names: unknown[] = Array.isArray(value) ? value : Object.keys(value);
      if (names.length === 0) {
        throw at.refuse('at least one column', value);
      }
      if (new Set(names).size < names.length) {
        throw at.refuse('different from each other', value);
      }
    },
  },
  ['columns'],
);
