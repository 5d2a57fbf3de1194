import { Inject, Injectable, Logger } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { PoolConfig } from 'pg';
import type { DataSource } from 'typeorm';
import { InvalidDefinitionError, InvalidModuleOptionsError } from '../errors/usage.errors.js';
import type { ViewRegistration } from '../materialized-views.module-definition.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { Database } from '../postgres/database.js';
import { DataSourceRegistry } from './data-source.registry.js';
import { DefinitionRegistry } from './definition.registry.js';
import { ReadOnlyGuard } from './read-only.guard.js';
import { type ViewDefinition, viewName } from './view-definition.js';
import { ViewExplorer } from './view.explorer.js';

/** Takes the application's data sources up: finds their views, and opens the library's own access. */
@Injectable()
export class DataSourceConnector {
  private readonly logger = new Logger('MaterializedViews');

  constructor(
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(ViewExplorer) private readonly explorer: ViewExplorer,
  ) {}

  /**
   * @returns the names of the data sources that are taken up
   * @throws InvalidModuleOptionsError when a data source or a registered view is not there
   * @throws InvalidDefinitionError when a definition is wrong in a way that only the data source shows
   */
  async connect(): Promise<string[]> {
    const registered = this.registrations.views();
    const names = [...new Set(registered.map(({ dataSource }) => dataSource))];
    for (const name of names) {
      const views = registered
        .filter(({ dataSource }) => dataSource === name)
        .flatMap((registration) => registration.views);
      await this.connectOne({ dataSource: name, views });
    }
    this.definitions.complete();
    return names;
  }

  private async connectOne({ dataSource: name, views }: ViewRegistration): Promise<void> {
    const dataSource = this.dataSource(name);
    requireEntities(dataSource, name, views);
    const database = this.open(dataSource);
    this.dataSources.add(name, database, dataSource);
    const { currentSchema } = await database.serverInfo();
    const guard = ReadOnlyGuard.of(dataSource);
    for (const definition of this.explorer.explore({ name, dataSource, currentSchema })) {
      this.definitions.add(definition);
      guard.protect(definition.target, definition.name);
      refuseForeignKeys(dataSource, definition);
      this.warnWithoutPrimaryColumns(dataSource, definition);
    }
  }

  private dataSource(name: string): DataSource {
    const dataSource = this.find(name);
    if (dataSource?.options.type !== 'postgres') {
      throw new InvalidModuleOptionsError(
        `MaterializedViewsModule: expected data source "${name}" to be a TypeORM data source for PostgreSQL, got ${dataSource === undefined ? 'none of that name' : `one for ${dataSource.options.type}`}.`,
        {
          hint: "Import TypeOrmModule.forRoot({ type: 'postgres', ... }), with `name` if it is not the default one.",
        },
      );
    }
    return dataSource;
  }

  private find(name: string): DataSource | undefined {
    try {
      return this.moduleRef.get<DataSource>(getDataSourceToken(name), { strict: false });
    } catch {
      return undefined;
    }
  }

  private open(dataSource: DataSource): Database {
    const { poolSize, stateSchema } = this.registrations.options;
    // The pool that TypeORM's driver has opened tells how the application itself connects to the primary.
    const { master } = dataSource.driver as unknown as { master: { options: PoolConfig } };
    return new Database({
      connection: master.options,
      poolSize,
      stateSchema,
      onConnectionError: (error) => {
        this.logger.warn(
          `An idle connection was lost; the next refresh opens another: ${error.message}`,
        );
      },
    });
  }

  private warnWithoutPrimaryColumns(dataSource: DataSource, view: ViewDefinition): void {
    const hasPrimary = dataSource.getMetadata(view.target).primaryColumns.length > 0;
    if (!hasPrimary && view.indexes.some((index) => index.unique)) {
      this.logger.warn(
        `${view.target.name} has a unique index, but no primary columns, without which TypeORM's relations and paging give errors or wrong rows. Put @MaterializedViewEntity above @Index, or mark the columns with @PrimaryColumn().`,
      );
    }
  }
}

function requireEntities(
  dataSource: DataSource,
  name: string,
  views: ViewRegistration['views'],
): void {
  const missing = views.find((view) => !dataSource.hasMetadata(view));
  if (missing !== undefined) {
    throw new InvalidModuleOptionsError(
      `MaterializedViewsModule: ${missing.name} is registered for data source "${name}", but is not among its entities.`,
      {
        hint: 'Set `autoLoadEntities: true` in TypeOrmModule.forRoot(), or add the class to its `entities`.',
      },
    );
  }
}

/** TypeORM would make a foreign key to the view, which PostgreSQL refuses. */
function refuseForeignKeys(dataSource: DataSource, view: ViewDefinition): void {
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
