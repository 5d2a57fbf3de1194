import { displayName } from '../postgres/identifier.js';
import {
  type ModeChoice,
  type Scheduler,
  type ViewDefinition,
  viewName,
} from './view-definition.js';

/** How a registered view is refreshed, as its class says. */
export interface DeclaredView {
  /** As `schema.name`. */
  view: string;
  dataSource: string;
  /** The SELECT of the view, as the class has it. */
  query: string;
  mode: ModeChoice;
  /** Whether a refresh fails where it would stop readers for want of a unique index. */
  isStrict: boolean;
  /** Left out for a view without a schedule. */
  schedule?: {
    cron: string;
    timeZone: string;
    /** Who refreshes at these times. */
    scheduler: Scheduler;
    /** The next scheduled times by the clock of this process, as many as were asked for. */
    nextTicks: Date[];
  };
  /** What is refreshed by itself on writes; left out where nothing is. */
  onWrite?: {
    /** Whether a write to anything that the catalog knows the view to read counts. */
    readsSources: boolean;
    /** Tables that count beside those, as `schema.name`. */
    tables: string[];
    debounceMs: number;
    maxWaitMs: number;
  };
  maxStalenessMs?: number;
  /** Whether ticks are left out where nothing has changed. */
  skipsUnchanged: boolean;
}

/** What is declared of a view, as plain data. */
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
