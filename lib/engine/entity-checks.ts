import type { DataSource } from 'typeorm';
import type { Log } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';

/**
 * TypeORM would make a foreign key to the view, which PostgreSQL refuses.
 *
 * @throws InvalidDefinitionError
 */
export function refuseForeignKeys(dataSource: DataSource, view: ViewDefinition): void {
  for (const metadata of dataSource.entityMetadatas) {
    const relation = metadata.relations.find(
      (each) => each.inverseEntityMetadata.target === view.target && each.foreignKeys.length > 0,
    );
    if (relation !== undefined && metadata.tableType !== 'view') {
      throw new InvalidDefinitionError(
        `${metadata.targetName}.${relation.propertyName} refers to materialized view "${viewName(view)}" with a foreign key, which PostgreSQL cannot have.`,
        { view: viewName(view), hint: 'Give the relation `createForeignKeyConstraints: false`.' },
      );
    }
  }
}

/** Without primary columns TypeORM's relations and paging give errors or wrong rows. */
export function warnWithoutPrimaryColumns(
  dataSource: DataSource,
  view: ViewDefinition,
  log: Log,
): void {
  const hasPrimary = dataSource.getMetadata(view.target).primaryColumns.length > 0;
  if (!hasPrimary && view.indexes.some((index) => index.unique)) {
    log.warn(
      `${view.target.name} has a unique index, but no primary columns, without which TypeORM's relations and paging give errors or wrong rows. Put @MaterializedViewEntity above @Index, or mark the columns with @PrimaryColumn().`,
    );
  }
}
