import { Inject, Injectable } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { ChangeLogKeeper } from '../refresh/change-log.keeper.js';
import { RefreshRunner } from '../refresh/refresh.runner.js';
import { ChangeWatch } from './change-watch.js';
import { WakeUpListener } from './wake-up.listener.js';

/** Has views with `on` or `maxStaleness` refreshed when what they read is written: one watch for each data source. */
@Injectable()
export class ChangePoller {
  private readonly watches: ChangeWatch[] = [];
  private readonly listeners: WakeUpListener[] = [];

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(RefreshRunner) private readonly runner: RefreshRunner,
    @Inject(ChangeLogKeeper) private readonly changeLog: ChangeLogKeeper,
  ) {}

  start(): void {
    const { scheduling } = this.registrations.options;
    if (!scheduling) {
      return;
    }
    this.definitions
      .dataSourceNames()
      .filter((name) => this.definitions.in(name).some(isWatched))
      .forEach((name) => this.watch(name));
  }

  /** Stops looking for changes. Refreshes under way go on. */
  async stop(): Promise<void> {
    await Promise.all([...this.listeners, ...this.watches].map((each) => each.stop()));
  }

  private watch(dataSourceName: string): void {
    const { sweepIntervalMs, wakeUp } = this.registrations.options;
    const database = this.dataSources.get(dataSourceName);
    const watch = new ChangeWatch({
      dataSourceName,
      database,
      definitions: this.definitions.in(dataSourceName),
      runner: this.runner,
      changeLog: this.changeLog,
      failureHoldMs: sweepIntervalMs,
    });
    this.watches.push(watch);
    watch.start();
    if (wakeUp === 'notify') {
      const listener = new WakeUpListener({ dataSourceName, database, watch });
      this.listeners.push(listener);
      listener.start();
    }
  }
}

function isWatched({ freshness }: ViewDefinition): boolean {
  return freshness?.onWrite !== undefined || freshness?.maxStalenessMs !== undefined;
}
