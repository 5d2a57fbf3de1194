import type { ViewIndexKey, ViewIndexOptions } from './materialized-view-entity.options.js';
import type { OptionChecks } from './option-checks.js';

const INDEX_OPTIONS = [
  'name',
  'keys',
  'unique',
  'method',
  'include',
  'where',
  'storage',
  'tablespace',
];
const KEY_OPTIONS = ['property', 'expression', 'collation', 'operatorClass', 'order', 'nulls'];

/** Checks the option `indexes`. Whether properties exist shows only with the entity's metadata. */
export function validateIndexes(checks: OptionChecks, indexes: unknown): void {
  const names = new Set<unknown>();
  checks.optionalList('indexes', indexes).forEach((index, position) => {
    const path = `indexes[${position}]`;
    validateIndex(checks, path, index as ViewIndexOptions);
    const { name } = index as ViewIndexOptions;
    if (names.has(name)) {
      throw checks.refuse(`${path}.name`, 'different from those of the other indexes', name);
    }
    names.add(name);
  });
}

function validateIndex(checks: OptionChecks, path: string, index: ViewIndexOptions): void {
  checks.knownOptions(`${path}.`, index, INDEX_OPTIONS);
  if (index.name === undefined) {
    throw checks.refuse(`${path}.name`, 'the name of an index', index.name);
  }
  checks.identifier(`${path}.name`, index.name);
  checks.identifier(`${path}.method`, index.method);
  checks.identifier(`${path}.tablespace`, index.tablespace);
  checks.ofType(`${path}.unique`, index.unique, 'boolean');
  checks.nonEmptyText(`${path}.where`, index.where);
  validateStorage(checks, `${path}.storage`, index.storage);
  checks.optionalList(`${path}.include`, index.include).forEach((property, position) => {
    checks.nonEmptyText(`${path}.include[${position}]`, property ?? null);
  });
  const keys = checks.list(`${path}.keys`, index.keys);
  if (keys.length === 0) {
    throw checks.refuse(`${path}.keys`, 'at least one property or key', index.keys);
  }
  keys.forEach((key, position) => {
    validateKey(checks, `${path}.keys[${position}]`, key as string | ViewIndexKey);
  });
}

/** No parameters at all mean something for a view, whose others are reset, but not for an index. */
function validateStorage(
  checks: OptionChecks,
  path: string,
  storage: ViewIndexOptions['storage'],
): void {
  checks.storage(path, storage);
  if (storage !== undefined && Object.keys(storage).length === 0) {
    throw checks.refuse(path, 'absent or to have storage parameters', storage);
  }
}

function validateKey(checks: OptionChecks, path: string, key: string | ViewIndexKey): void {
  if (typeof key === 'string') {
    checks.nonEmptyText(path, key);
    return;
  }
  checks.knownOptions(`${path}.`, key, KEY_OPTIONS);
  if ((key.property === undefined) === (key.expression === undefined)) {
    throw checks.refuse(path, 'either a `property` or an `expression`', key);
  }
  checks.nonEmptyText(`${path}.property`, key.property);
  checks.nonEmptyText(`${path}.expression`, key.expression);
  checks.optionalQualifiedName(`${path}.collation`, key.collation);
  checks.optionalQualifiedName(`${path}.operatorClass`, key.operatorClass);
  checks.oneOf(`${path}.order`, key.order, ['ASC', 'DESC']);
  checks.oneOf(`${path}.nulls`, key.nulls, ['FIRST', 'LAST']);
}
