import {
  type BeforeApplicationShutdown,
  Inject,
  Logger,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { RefreshService } from '../engine/refresh.service.js';
import { SchemaService } from '../engine/schema.service.js';
import { CronJobs } from './cron-jobs.js';
import { DataSourceConnector } from './data-source.connector.js';
import { EventPublisher } from './event.publisher.js';
import { ModuleRegistrations } from './module-registrations.js';

/**
 * Holds the single instance of everything, however often `MaterializedViewsModule` is imported:
 * Nest identifies a module without options by its class.
 */
@Module({
  providers: [
    ModuleRegistrations,
    EventPublisher,
    CronJobs,
    DataSourceConnector,
    {
      provide: ManagedDataSources,
      useFactory: () => new ManagedDataSources(new Logger('MaterializedViews')),
    },
    {
      provide: RefreshService,
      useFactory: (sources: ManagedDataSources) => new RefreshService(sources),
      inject: [ManagedDataSources],
    },
    {
      provide: SchemaService,
      useFactory: (sources: ManagedDataSources) => new SchemaService(sources),
      inject: [ManagedDataSources],
    },
  ],
  exports: [RefreshService, SchemaService],
})
export class MaterializedViewsCoreModule
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  constructor(
    @Inject(DataSourceConnector) private readonly connector: DataSourceConnector,
    @Inject(ManagedDataSources) private readonly sources: ManagedDataSources,
  ) {}

  /** Here, so that views exist when the application's own `onApplicationBootstrap` reads them. */
  async onModuleInit(): Promise<void> {
    await this.connector.connect();
    for (const source of this.sources.all()) {
      await source.boot();
    }
  }

  onApplicationBootstrap(): void {
    this.sources.all().forEach((source) => source.start());
  }

  /** Here and not later: TypeORM destroys its data sources in `onApplicationShutdown`. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.sources.opened().map((source) => source.stop()));
  }
}
