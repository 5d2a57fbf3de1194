import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { MaterializedViewEvents } from '../definition/materialized-view.events.js';
import type { ViewStaleEvent } from '../refresh/refresh-events.js';
import type { ViewStatus } from './view-status.js';
import { readBriefStatuses } from './status-reading.js';

/** Reports views that become stale: once, until they are fresh again. */
export class StaleWatch {
  private readonly stale = new Set<ViewDefinition>();

  constructor(private readonly context: DataSourceContext) {}

  /** @returns the milliseconds until one of them may become stale; 0 if that depends on writes */
  async look(definitions: readonly ViewDefinition[]): Promise<number> {
    const statuses = await readBriefStatuses(this.context, definitions);
    definitions.forEach((definition, position) => {
      const status = statuses[position];
      if (!status?.isStale) {
        this.stale.delete(definition);
      } else if (!this.stale.has(definition)) {
        this.stale.add(definition);
        this.context.events.publish(MaterializedViewEvents.stale, staleEvent(status));
      }
    });
    return Math.min(
      ...definitions.map((definition, position) => maybeStaleInMs(definition, statuses[position])),
    );
  }
}

/** Without writes, only the age decides. A stale view stays stale until it is refreshed. */
function maybeStaleInMs({ freshness }: ViewDefinition, status: ViewStatus | undefined): number {
  if (freshness?.maxStalenessMs !== undefined) {
    return 0;
  }
  if (status?.maxStalenessMs === undefined || status.isStale) {
    return Infinity;
  }
  const { ageMs, maxStalenessMs, nextTick, failureCount } = status;
  if (ageMs !== undefined) {
    return Math.max(0, maxStalenessMs - ageMs);
  }
  // Rows from before the library: they become stale at a tick, unless a failed tick already made them stale.
  return failureCount > 0 || nextTick === undefined ? 0 : nextTick.getTime() - Date.now();
}

function staleEvent({ view, dataSource, ageMs, maxStalenessMs }: ViewStatus): ViewStaleEvent {
  return { view, dataSource, ageMs, maxStalenessMs };
}
