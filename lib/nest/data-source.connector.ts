import { Inject, Injectable } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { getDataSourceToken } from '@nestjs/typeorm';
import type { DataSource } from 'typeorm';
import type { ViewClass } from '../definition/view-class.js';
import { ManagedDataSource } from '../engine/managed-data-source.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';
import { CronJobs } from './cron-jobs.js';
import { EventPublisher } from './event.publisher.js';
import { ModuleRegistrations } from './module-registrations.js';

/** Opens the application's data sources that have views. */
@Injectable()
export class DataSourceConnector {
  constructor(
    @Inject(ModuleRef) private readonly moduleRef: ModuleRef,
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(ManagedDataSources) private readonly sources: ManagedDataSources,
    @Inject(EventPublisher) private readonly events: EventPublisher,
    @Inject(CronJobs) private readonly jobs: CronJobs,
  ) {}

  /**
   * @throws InvalidOptionsError if a data source or a registered view doesn't exist
   * @throws InvalidDefinitionError if a definition is wrong in a way that only the data source shows
   */
  async connect(): Promise<void> {
    const registered = this.registrations.views();
    for (const name of new Set(registered.map(({ dataSource }) => dataSource))) {
      const views = registered
        .filter(({ dataSource }) => dataSource === name)
        .flatMap((registration) => registration.views);
      this.sources.add(await this.open(name, views));
    }
    this.sources.complete();
  }

  private async open(name: string, views: ViewClass[]): Promise<ManagedDataSource> {
    const typeOrm = this.dataSource(name);
    requireEntities(typeOrm, name, views);
    return ManagedDataSource.open({
      name,
      typeOrm,
      registered: views,
      options: this.registrations.options,
      log: this.sources.log,
      events: this.events,
      startJob: (view, onTick) => this.jobs.start(name, view, onTick),
      viewsElsewhere: () => this.sources.viewsBeside(name),
    });
  }

  private dataSource(name: string): DataSource {
    const dataSource = this.find(name);
    if (dataSource?.options.type !== 'postgres') {
      throw new InvalidOptionsError(
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
}

function requireEntities(dataSource: DataSource, name: string, views: ViewClass[]): void {
  const missing = views.find((view) => !dataSource.hasMetadata(view));
  if (missing !== undefined) {
    throw new InvalidOptionsError(
      `MaterializedViewsModule: ${missing.name} is registered for data source "${name}", but is not among its entities.`,
      {
        hint: 'Set `autoLoadEntities: true` in TypeOrmModule.forRoot(), or add the class to its `entities`.',
      },
    );
  }
}
