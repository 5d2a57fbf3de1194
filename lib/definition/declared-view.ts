import { displayName } from '../postgres/identifier.js';
import {
  type ModeChoice,
  type Scheduler,
  type ViewDefinition,
  viewName,
} from './view-definition.js';

/** How a registered view is refreshed according to its class. */
export interface DeclaredView {
  /** As `schema.name`. */
  view: string;
  dataSource: string;
  /** The view's query in the class. */
  query: string;
  mode: ModeChoice;
  /** Whether a refresh fails instead of blocking readers because there is no usable unique index. */
  isStrict: boolean;
  /** Left out for a view without a schedule. */
  schedule?: {
    cron: string;
    timeZone: string;
    /** Who refreshes at these times. */
    scheduler: Scheduler;
    /** The next scheduled times by the clock of this process, as many as requested. */
    nextTicks: Date[];
  };
  /** When writes trigger a refresh; left out if they don't. */
  onWrite?: {
    /** Whether writes to everything that the view reads according to the catalog count. */
    readsSources: boolean;
    /** Other tables that count, as `schema.name`. */
    tables: string[];
    debounceMs: number;
    maxWaitMs: number;
  };
  maxStalenessMs?: number;
  /** Whether ticks are skipped if nothing has changed. */
  skipsUnchanged: boolean;
}

/** A view's declaration, as plain data. */
export function declaredView(
  definition: ViewDefinition,
  { dataSource, tickCount }: { dataSource: string; tickCount: number },
): DeclaredView {
  const { refresh, freshness } = definition;
  const { onWrite } = freshness ?? {};
  return {
    view: viewName(definition),
    dataSource,
    query: definition.query,
    mode: refresh.mode,
    isStrict: refresh.strict,
    schedule: scheduleOf(definition, tickCount),
    onWrite: freshness &&
      onWrite && {
        readsSources: freshness.readsSources,
        tables: freshness.tables.map(displayName),
        ...onWrite,
      },
    maxStalenessMs: freshness?.maxStalenessMs,
    skipsUnchanged: freshness?.skipsUnchanged ?? false,
  };
}

function scheduleOf({ schedule }: ViewDefinition, tickCount: number): DeclaredView['schedule'] {
  if (schedule === undefined) {
    return undefined;
  }
  const nextTicks: Date[] = [];
  let next = tickCount > 0 ? schedule.grid.nextTickAfter(new Date()) : undefined;
  while (next !== undefined && nextTicks.length < tickCount) {
    nextTicks.push(next);
    next = schedule.grid.nextTickAfter(next);
  }
  const { cron, timeZone, scheduler } = schedule;
  return { cron, timeZone, scheduler, nextTicks };
}
