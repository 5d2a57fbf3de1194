import { Inject, Injectable } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { EventPublisher } from '../events/event.publisher.js';
import { MaterializedViewEvents } from '../events/materialized-view.events.js';
import type { ViewStaleEvent } from './refresh-events.js';
import type { ViewRefreshStatus } from './refresh-status.js';
import { readStatusesWithoutSizes } from './status-reading.js';

/** Tells of views that become stale: once, until they are fresh again. */
@Injectable()
export class StaleWatch {
  private readonly stale = new Set<ViewDefinition>();

  constructor(
    @Inject(DefinitionRegistry) private readonly registry: DefinitionRegistry,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(EventPublisher) private readonly events: EventPublisher,
  ) {}

  /** @param definitions views of one data source */
  async look(dataSourceName: string, definitions: readonly ViewDefinition[]): Promise<void> {
    const database = this.dataSources.get(dataSourceName);
    const registered = this.registry.in(dataSourceName);
    const statuses = await readStatusesWithoutSizes(database, { definitions, registered });
    definitions.forEach((definition, position) => {
      const status = statuses[position];
      if (!status?.isStale) {
        this.stale.delete(definition);
      } else if (!this.stale.has(definition)) {
        this.stale.add(definition);
        this.events.publish(MaterializedViewEvents.stale, staleEvent(status));
      }
    });
  }
}

function staleEvent({
  view,
  dataSource,
  ageMs,
  maxStalenessMs,
}: ViewRefreshStatus): ViewStaleEvent {
  return { view, dataSource, ageMs, maxStalenessMs };
}
