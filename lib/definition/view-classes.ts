import type { DataSource, EntityMetadata } from 'typeorm';
import { getViewOptions } from './definition-metadata.accessor.js';
import type { ViewClass } from './view-class.js';

/**
 * The decorated classes among a data source's entities.
 *
 * @param registered the classes registered with the library, besides those that are only entities
 */
export function viewClasses(
  dataSource: DataSource,
  registered: readonly ViewClass[],
): EntityMetadata[] {
  const decorated = dataSource.entityMetadatas.filter(
    ({ target }) => typeof target === 'function' && getViewOptions(target) !== undefined,
  );
  return decorated.filter((metadata) => !isReplaced(metadata, decorated, registered));
}

/** Whether one of these classes has a function for its schemas. */
export function hasSchemaFunctions(classes: readonly EntityMetadata[]): boolean {
  return classes.some(
    ({ target }) => typeof getViewOptions(target as ViewClass)?.schemas === 'function',
  );
}

/**
 * Whether a class is left over from hot reload: Nest's autoLoadEntities keeps every class that the process has ever
 * loaded. TypeORM has them in the order of decoration.
 */
function isReplaced(
  metadata: EntityMetadata,
  all: readonly EntityMetadata[],
  registered: readonly ViewClass[],
): boolean {
  const isRegistered = ({ target }: EntityMetadata): boolean =>
    registered.includes(target as ViewClass);
  const newer = all.slice(all.indexOf(metadata) + 1);
  return (
    !isRegistered(metadata) &&
    newer.some(
      (each) =>
        each.tableName === metadata.tableName &&
        each.schema === metadata.schema &&
        (isRegistered(each) || each.targetName === metadata.targetName),
    )
  );
}
