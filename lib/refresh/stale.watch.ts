import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import type { ViewStaleEvent } from './refresh-events.js';
import type { ViewRefreshStatus } from './refresh-status.js';
import { readStatusesWithoutSizes } from './status-reading.js';

/** Tells of views that become stale: once, until they are fresh again. */
export class StaleWatch {
  private readonly stale = new Set<ViewDefinition>();

  constructor(private readonly context: DataSourceContext) {}

  async look(definitions: readonly ViewDefinition[]): Promise<void> {
    const statuses = await readStatusesWithoutSizes(this.context, definitions);
    definitions.forEach((definition, position) => {
      const status = statuses[position];
      if (!status?.isStale) {
        this.stale.delete(definition);
      } else if (!this.stale.has(definition)) {
        this.stale.add(definition);
        this.context.events.publish(MaterializedViewEvents.stale, staleEvent(status));
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
