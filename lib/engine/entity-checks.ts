import type { DataSource } from 'typeorm';
import type { Log } from '../definition/data-source.context.js';
import { decoratorOf } from '../definition/definition-metadata.accessor.js';
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
        `${metadata.targetName}.${relation.propertyName} refers to ${view.kind.noun} "${viewName(view)}" with a foreign key, which PostgreSQL cannot have.`,
        { view: viewName(view), hint: 'Set `createForeignKeyConstraints: false` on the relation.' },
      );
    }
  }
}

/**
 * Servers before PostgreSQL 15 do not know the parameter.
 *
 * @throws InvalidDefinitionError
 */
export function refuseSecurityInvoker(view: ViewDefinition): void {
  if (view.storage?.['security_invoker'] === true && !view.kind.storesRows) {
    throw new InvalidDefinitionError(
      `${decoratorOf(view.target)}: expected \`securityInvoker\` to be absent, because the server is older than PostgreSQL 15, got true.`,
      {
        view: viewName(view),
        hint: 'The view would check rights as its owner there. Update the server, or leave the option out.',
      },
    );
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
