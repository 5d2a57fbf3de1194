import { getMetadataArgsStorage } from 'typeorm';
import type { ViewIndexOptions } from './materialized-view-entity.options.js';

type MetadataArgs = ReturnType<typeof getMetadataArgsStorage>;
type ColumnArgs = MetadataArgs['columns'][number];
type IndexColumns = MetadataArgs['indices'][number]['columns'];

/**
 * Makes the columns of the first unique index the entity's primary columns if it has none. Without a
 * primary column, TypeORM gives syntax errors for relations with paging, and wrong rows for
 * one-to-many relations loaded by a separate query.
 */
export function markPrimaryColumns(target: object, indexes: ViewIndexOptions[]): void {
  const classes = inheritanceChain(target);
  const columns = columnsOf(classes);
  if ([...columns.values()].some((column) => column.options.primary)) {
    return;
  }
  const key = (firstUniqueKey(classes, indexes) ?? []).map((property) => columns.get(property));
  // A key over a relation is left to the application: only plain columns can be made primary here.
  if (key.every((column) => column !== undefined)) {
    key.forEach((column) => makePrimary(column, target));
  }
}

function columnsOf(classes: unknown[]): Map<string, ColumnArgs> {
  const columns = new Map<string, ColumnArgs>();
  for (const column of getMetadataArgsStorage().columns) {
    if (classes.includes(column.target) && !columns.has(column.propertyName)) {
      columns.set(column.propertyName, column);
    }
  }
  return columns;
}

/** The properties of the first unique index that covers every row and has plain columns only. */
function firstUniqueKey(classes: unknown[], indexes: ViewIndexOptions[]): string[] | undefined {
  const declared = getMetadataArgsStorage().indices.find(
    (index) => classes.includes(index.target) && index.unique === true && index.where === undefined,
  );
  if (declared !== undefined) {
    return propertyNames(declared.columns);
  }
  const unique = getMetadataArgsStorage().uniques.find(({ target }) => classes.includes(target));
  if (unique !== undefined) {
    return propertyNames(unique.columns);
  }
  return indexes
    .filter((index) => index.unique === true && index.where === undefined)
    .map((index) => index.keys.map((key) => (typeof key === 'string' ? key : key.property)))
    .find((keys): keys is string[] => keys.every((key) => key !== undefined));
}

/** `@Index` takes property names, or a function from a map of them to an array or to an object of orders. */
function propertyNames(columns: IndexColumns): string[] {
  if (typeof columns !== 'function') {
    return columns ?? [];
  }
  const properties = new Proxy({}, { get: (_, property) => String(property) });
  const chosen = columns(properties);
  return Array.isArray(chosen) ? chosen.map(String) : Object.keys(chosen);
}

/**
 * An inherited column is shared with other subclasses, so the class gets a copy, placed first:
 * TypeORM uses the first column that it finds for a property.
 */
function makePrimary(column: ColumnArgs, target: object): void {
  const { columns } = getMetadataArgsStorage();
  const primary = {
    ...column,
    target: target as ColumnArgs['target'],
    options: { ...column.options, primary: true },
  };
  if (column.target === target) {
    columns.splice(columns.indexOf(column), 1, primary);
  } else {
    columns.unshift(primary);
  }
}

/** The class and those above it, nearest first. */
function inheritanceChain(target: object): unknown[] {
  const chain: unknown[] = [];
  for (let each: unknown = target; typeof each === 'function' && each.name;) {
    chain.push(each);
    each = Object.getPrototypeOf(each);
  }
  return chain;
}
