import { Inject, Injectable } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { RefreshRunner } from '../refresh/refresh.runner.js';
import { ChangeWatch } from './change-watch.js';

/** Has views refreshed when what they read is written: those with `on` or `maxStaleness`. */
@Injectable()
export class ChangePoller {
  private watches: ChangeWatch[] = [];

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(RefreshRunner) private readonly runner: RefreshRunner,
  ) {}

  start(): void {
    const { scheduling, sweepIntervalMs } = this.registrations.options;
    if (!scheduling) {
      return;
    }
    const all = this.definitions.all();
    const names = new Set(all.filter(isWatched).map((view) => view.dataSourceName));
    this.watches = [...names].map(
      (dataSourceName) =>
        new ChangeWatch({
          dataSourceName,
          database: this.dataSources.get(dataSourceName),
          definitions: all.filter((view) => view.dataSourceName === dataSourceName),
          runner: this.runner,
          failureHoldMs: sweepIntervalMs,
        }),
    );
    this.watches.forEach((watch) => watch.start());
  }

  /** Looks for no more changes. Refreshes under way go on. */
  async stop(): Promise<void> {
    await Promise.all(this.watches.map((watch) => watch.stop()));
  }
}

function isWatched({ freshness }: ViewDefinition): boolean {
  return freshness?.onWrite !== undefined || freshness?.maxStalenessMs !== undefined;
}
