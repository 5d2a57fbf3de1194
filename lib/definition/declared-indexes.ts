import type { EntityMetadata } from 'typeorm';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { IndexDefinition, IndexKey } from '../postgres/ddl.sql.js';
import type { ViewIndexKey, ViewIndexOptions } from './materialized-view-entity.options.js';

/** All indexes of a class: by `@Index`, by `@Unique` and by its options. */
export function indexesOf(
  metadata: EntityMetadata,
  options: readonly ViewIndexOptions[] = [],
): IndexDefinition[] {
  return [
    ...declaredIndexes(metadata),
    ...uniqueIndexes(metadata),
    ...options.map((index) => indexFromOptions(metadata, index)),
  ];
}

function declaredIndexes(metadata: EntityMetadata): IndexDefinition[] {
  return metadata.indices
    .filter((index) => index.synchronize)
    .map((index) => ({
      name: index.name,
      keys: index.columns.map((column) => ({ column: column.databaseName })),
      unique: index.isUnique,
      method: index.isSpatial ? 'gist' : index.type,
      where: index.where,
    }));
}

/** `@Unique`: a view has no constraints, and a unique index does the same. Those of TypeORM's own relations have no given columns. */
function uniqueIndexes(metadata: EntityMetadata): IndexDefinition[] {
  const declared = metadata.uniques.filter(
    ({ givenColumnNames }) => givenColumnNames !== undefined,
  );
  return declared.map(({ name, columns, deferrable }) => {
    if (deferrable !== undefined) {
      throw new InvalidDefinitionError(
        `@Unique "${name}" of ${metadata.targetName}: expected \`deferrable\` to be absent, because a view has a unique index in the place of the constraint, got "${deferrable}".`,
      );
    }
    return {
      name,
      keys: columns.map((column) => ({ column: column.databaseName })),
      unique: true,
    };
  });
}

function indexFromOptions(metadata: EntityMetadata, index: ViewIndexOptions): IndexDefinition {
  const columnOf = (property: string): string => columnName(metadata, index.name, property);
  return {
    name: index.name,
    keys: index.keys.map((key) => indexKey(key, columnOf)),
    unique: index.unique ?? false,
    method: index.method,
    include: index.include?.map(columnOf),
    where: index.where,
    storage: index.storage,
    tablespace: index.tablespace,
  };
}

function indexKey(key: string | ViewIndexKey, columnOf: (property: string) => string): IndexKey {
  if (typeof key === 'string') {
    return { column: columnOf(key) };
  }
  const { property, ...rest } = key;
  return property === undefined ? rest : { ...rest, column: columnOf(property) };
}

function columnName(metadata: EntityMetadata, index: string, property: string): string {
  const column = metadata.findColumnWithPropertyPath(property);
  if (column === undefined) {
    const known = metadata.columns.map((each) => each.propertyPath).join(', ');
    throw new InvalidDefinitionError(
      `@MaterializedViewEntity of ${metadata.targetName}: expected the index "${index}" to name properties of the class (${known}), got "${property}".`,
    );
  }
  return column.databaseName;
}
