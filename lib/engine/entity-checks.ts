import type { DataSource } from 'typeorm';
import type { Log } from '../definition/data-source.context.js';
import { decoratorOf, getViewOptions } from '../definition/definition-metadata.accessor.js';
import { ReadOnlyGuard } from '../definition/read-only.guard.js';
import type { ViewClass } from '../definition/view-class.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';

/** Checks a class against its data source. */
export class EntityChecks {
  private readonly checked = new Set<ViewClass>();
  private readonly guard: ReadOnlyGuard;

  constructor(
    private readonly dataSource: DataSource,
    private readonly log: Log,
    private readonly server: { hasSecurityInvoker: boolean },
  ) {
    this.guard = ReadOnlyGuard.of(dataSource);
  }

  /**
   * Checks the classes that it has not seen yet, and guards materialized views against writes.
   *
   * @throws InvalidDefinitionError
   */
  check(views: readonly ViewDefinition[]): void {
    const references = foreignKeys(this.dataSource);
    for (const view of views.filter(({ isLive }) => !isLive)) {
      if (!this.checked.has(view.target)) {
        this.checkOne(view, references.get(view.target));
        this.checked.add(view.target);
      }
    }
  }

  private checkOne(view: ViewDefinition, reference: string | undefined): void {
    if (view.kind.storesRows) {
      const isOneOfMany = getViewOptions(view.target)?.schemas !== undefined;
      this.guard.protect(view.target, isOneOfMany ? view.name.name : viewName(view));
    }
    refuseForeignKey(view, reference);
    warnWithoutPrimaryColumns(this.dataSource, view, this.log);
    if (!this.server.hasSecurityInvoker) {
      refuseSecurityInvoker(view);
    }
  }
}

/** One relation of an entity with a foreign key to each class that has any. */
function foreignKeys(dataSource: DataSource): Map<unknown, string> {
  const relations = dataSource.entityMetadatas
    .filter(({ tableType }) => tableType !== 'view')
    .flatMap((metadata) => metadata.relations.filter(({ foreignKeys: keys }) => keys.length > 0));
  return new Map(
    relations.map((each) => [
      each.inverseEntityMetadata.target,
      `${each.entityMetadata.targetName}.${each.propertyName}`,
    ]),
  );
}

/**
 * TypeORM would create a foreign key to the view, which PostgreSQL refuses.
 *
 * @throws InvalidDefinitionError
 */
function refuseForeignKey(view: ViewDefinition, reference: string | undefined): void {
  if (reference !== undefined) {
    throw new InvalidDefinitionError(
      `${reference} refers to ${view.kind.noun} "${viewName(view)}" with a foreign key, which PostgreSQL cannot have.`,
      { view: viewName(view), hint: 'Set `createForeignKeyConstraints: false` on the relation.' },
    );
  }
}

/**
 * PostgreSQL before 15 doesn't have the parameter.
 *
 * @throws InvalidDefinitionError
 */
function refuseSecurityInvoker(view: ViewDefinition): void {
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
function warnWithoutPrimaryColumns(dataSource: DataSource, view: ViewDefinition, log: Log): void {
  const hasPrimary = dataSource.getMetadata(view.target).primaryColumns.length > 0;
  if (!hasPrimary && view.indexes.some((index) => index.unique)) {
    log.warn(
      `${view.target.name} has a unique index, but no primary columns, without which TypeORM's relations and paging give errors or wrong rows. Put @MaterializedViewEntity above @Index, or mark the columns with @PrimaryColumn().`,
    );
  }
}
