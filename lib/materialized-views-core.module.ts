import {
  type BeforeApplicationShutdown,
  Inject,
  Module,
  type OnApplicationBootstrap,
  type OnModuleInit,
} from '@nestjs/common';
import { DataSourceConnector } from './definition/data-source.connector.js';
import { DataSourceRegistry } from './definition/data-source.registry.js';
import { DefinitionRegistry } from './definition/definition.registry.js';
import { ViewExplorer } from './definition/view.explorer.js';
import { EventPublisher } from './events/event.publisher.js';
import { ModuleRegistrations } from './module-registrations.js';
import { CallerRefresh } from './refresh/caller.refresh.js';
import { DemandQueue } from './refresh/demand.queue.js';
import { RefreshControl } from './refresh/refresh.control.js';
import { RefreshReporter } from './refresh/refresh.reporter.js';
import { GraphRefresher } from './refresh/graph.refresher.js';
import { RefreshRunner } from './refresh/refresh.runner.js';
import { RefreshService } from './refresh/refresh.service.js';
import { RefreshShutdown } from './refresh/refresh.shutdown.js';
import { ChangeLogKeeper } from './refresh/change-log.keeper.js';
import { HistoryPruner } from './refresh/history-pruner.js';
import { StaleWatch } from './refresh/stale.watch.js';
import { ViewInspector } from './refresh/view-inspector.js';
import { ChangePoller } from './schedule/change.poller.js';
import { ScheduleOrchestrator } from './schedule/schedule.orchestrator.js';
import { TickRunner } from './schedule/tick.runner.js';
import { SchemaService } from './schema/schema.service.js';
import { CaptureKeeper } from './schema/capture.keeper.js';
import { SchemaBoot } from './schema/schema.boot.js';
import { SchemaSynchronizer } from './schema/schema.synchronizer.js';

/**
 * The one instance of everything, however often `MaterializedViewsModule` is imported: Nest knows a
 * module without options by its class.
 */
@Module({
  providers: [
    ModuleRegistrations,
    DataSourceConnector,
    DataSourceRegistry,
    DefinitionRegistry,
    ViewExplorer,
    CaptureKeeper,
    SchemaSynchronizer,
    SchemaBoot,
    SchemaService,
    EventPublisher,
    RefreshReporter,
    RefreshRunner,
    DemandQueue,
    CallerRefresh,
    RefreshControl,
    RefreshShutdown,
    StaleWatch,
    GraphRefresher,
    HistoryPruner,
    ChangeLogKeeper,
    ViewInspector,
    RefreshService,
    TickRunner,
    ScheduleOrchestrator,
    ChangePoller,
  ],
  exports: [RefreshService, SchemaService],
})
export class MaterializedViewsCoreModule
  implements OnModuleInit, OnApplicationBootstrap, BeforeApplicationShutdown
{
  constructor(
    @Inject(DataSourceConnector) private readonly connector: DataSourceConnector,
    @Inject(SchemaBoot) private readonly schema: SchemaBoot,
    @Inject(ScheduleOrchestrator) private readonly schedule: ScheduleOrchestrator,
    @Inject(ChangePoller) private readonly changes: ChangePoller,
    @Inject(RefreshShutdown) private readonly refreshes: RefreshShutdown,
    @Inject(HistoryPruner) private readonly pruner: HistoryPruner,
    @Inject(ChangeLogKeeper) private readonly changeLog: ChangeLogKeeper,
    @Inject(CaptureKeeper) private readonly captures: CaptureKeeper,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
  ) {}

  /** Here, so that views exist when the application's own `onApplicationBootstrap` reads them. */
  async onModuleInit(): Promise<void> {
    for (const name of await this.connector.connect()) {
      await this.schema.boot(name);
    }
  }

  onApplicationBootstrap(): void {
    this.schedule.start();
    this.changes.start();
  }

  /** Here and not later: TypeORM destroys its data sources in `onApplicationShutdown`. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.schedule.stop();
    await this.changes.stop();
    // Repairs share the pool of the refreshes, which from now on turns them away.
    await Promise.all([this.captures.stop(), this.refreshes.stop()]);
    await Promise.all([this.pruner.stop(), this.changeLog.stop()]);
    await Promise.all(this.dataSources.all().map((database) => database.close()));
  }
}
