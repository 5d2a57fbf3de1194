import { type ColumnOptions, ViewColumn } from 'typeorm';
import { MaterializedViewEntity } from './materialized-view-entity.decorator.js';
import type { MaterializedViewEntityOptions } from '../definition/materialized-view-entity.options.js';
import { OptionChecks } from '../definition/option-checks.js';

const COLUMN_OPTIONS = ['name', 'type', 'primary', 'transformer'];

/** A column of a view that has no class, as in the `columns` of TypeORM's EntitySchema. */
export type ViewColumnDefinition = Pick<ColumnOptions, 'name' | 'type' | 'primary' | 'transformer'>;

/** What `defineMaterializedView` takes: the options of `@MaterializedViewEntity`, a name, and columns. */
export interface DefineMaterializedViewOptions<
  Property extends string = string,
> extends MaterializedViewEntityOptions {
  /** At most 63 bytes. The class gets its name from it, in PascalCase. */
  name: string;
  /** The properties of a row and the columns behind them, or the names alone where they are the same. */
  columns: Property[] | Record<Property, ViewColumnDefinition>;
}

/**
 * Declares a materialized view without writing a class, as TypeORM's EntitySchema does for a table. What
 * it returns is a class that is made and decorated here, and can stand wherever a decorated class can.
 *
 * Nest names the token of a repository after the class, so two views of one name in different schemas
 * that are both injected need classes of their own.
 *
 * @throws InvalidDefinitionError when an option is unknown or not as it must be
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
  // NoInfer: an array of names would be taken for a row that has an array's properties.
  options: DefineMaterializedViewOptions<NoInfer<keyof Row & string>>,
): new () => Row {
  const { columns, ...viewOptions } = options ?? {};
  const { name } = viewOptions;
  requireName(name);
  const View = class {};
  Object.defineProperty(View, 'name', { value: pascalCase(name) });
  const checks = new OptionChecks(`defineMaterializedView of "${name}"`);
  for (const [property, column] of columnEntries(checks, columns)) {
    ViewColumn(column)(View.prototype, property);
  }
  MaterializedViewEntity(viewOptions)(View);
  return View as new () => Row;
}

/** There is no class whose name the naming strategy could take. */
function requireName(name: string | undefined): asserts name is string {
  const checks = new OptionChecks('defineMaterializedView');
  if (name === undefined) {
    throw checks.refuse('name', 'the name of the view', name);
  }
  checks.relationName('name', name);
}

/** `daily_revenue` -> `DailyRevenue`. A name without letters and digits stays as it is. */
function pascalCase(name: string): string {
  const words = name.split(/[^\p{L}\p{N}]+/u);
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('') || name;
}

function columnEntries(checks: OptionChecks, columns: unknown): [string, ViewColumnDefinition][] {
  const entries = Array.isArray(columns)
    ? checks.list('columns', columns).map((property, position) => {
        checks.nonEmptyText(`columns[${position}]`, property ?? null);
        return [property as string, {}] as [string, ViewColumnDefinition];
      })
    : namedColumns(checks, columns);
  if (entries.length === 0) {
    throw checks.refuse('columns', 'at least one column', columns);
  }
  if (new Set(entries.map(([property]) => property)).size < entries.length) {
    throw checks.refuse('columns', 'different from each other', columns);
  }
  return entries;
}

function namedColumns(checks: OptionChecks, columns: unknown): [string, ViewColumnDefinition][] {
  if (typeof columns !== 'object' || columns === null) {
    throw checks.refuse('columns', 'an object of columns, or an array of their names', columns);
  }
  return Object.entries(columns).map(([property, column]: [string, ViewColumnDefinition]) => {
    validateColumn(checks, `columns.${property}`, column);
    return [property, column];
  });
}

function validateColumn(checks: OptionChecks, path: string, column: ViewColumnDefinition): void {
  checks.knownOptions(`${path}.`, column, COLUMN_OPTIONS);
  const { name, type, primary, transformer } = column;
  checks.identifier(`${path}.name`, name);
  checks.ofType(`${path}.primary`, primary, 'boolean');
  if (type !== undefined && typeof type !== 'string' && typeof type !== 'function') {
    throw checks.refuse(`${path}.type`, "a type of TypeORM's, as in `'bigint'`", type);
  }
  if (transformer !== undefined && (typeof transformer !== 'object' || transformer === null)) {
    throw checks.refuse(`${path}.transformer`, 'one that has `from` and `to`', transformer);
  }
}
