import type { ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import {
  nextLookAfterErrorInMs,
  nextLookAfterWakeUpInMs,
  nextLookInMs,
} from '../freshness/look-interval.js';
import type { Database } from '../postgres/database.js';
import { isDoneWithin } from '../postgres/time-limit.js';
import { keyOf, planGraph } from '../refresh/graph-plan.js';
import type { ChangeLogKeeper } from '../refresh/change-log.keeper.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { ChangeReading, type PendingView } from './change-reading.js';
import { decide, isAnyPending } from './due-views.js';
import { DueRefresher } from './due.refresher.js';
import { RareWarning } from './rare-warning.js';

/** How long a stopping application waits for a look: where nobody answers any more it would take most of a minute. */
const STOP_TIMEOUT_MS = 2_000;

export interface WatchOptions {
  dataSourceName: string;
  database: Database;
  /** All views of the data source: a view's freshness depends on those below it. */
  definitions: ViewDefinition[];
  runner: RefreshRunner;
  changeLog: Pick<ChangeLogKeeper, 'maybeKeep'>;
  failureHoldMs: number;
}

/**
 * Looks again and again what the views of one data source have not seen, and has them refreshed. All
 * that it goes by is in the database, so that it misses nothing that was written while no process ran.
 * As a cron job does, it keeps the process alive until it is stopped.
 */
export class ChangeWatch {
  private readonly reading: ChangeReading;
  private readonly refresher: DueRefresher;
  private timer?: NodeJS.Timeout;
  private look: Promise<void> = Promise.resolve();
  private intervalMs = 0;
  private lookedAtMs = -Infinity;
  /** When the next look begins. */
  private lookAtMs = Infinity;
  private isWoken = false;
  private readonly rareWarning = new RareWarning();
  private isStopped = false;

  constructor(private readonly options: WatchOptions) {
    const { database, definitions, runner, failureHoldMs } = options;
    this.reading = new ChangeReading(database, definitions.filter(concerns(definitions)));
    this.refresher = new DueRefresher(runner, failureHoldMs, () => {
      this.hurry();
    });
  }

  start(): void {
    this.intervalMs = nextLookInMs(0, [], Math.random());
    this.lookWithin(this.intervalMs);
  }

  /** Looks no more, and waits a short time for a look that is under way: it only reads. Refreshes under way go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await isDoneWithin(this.look, STOP_TIMEOUT_MS);
  }

  /** Something was written: looks at once, also when a look is under way, which may have been too early. */
  wake(): void {
    this.isWoken = true;
    if (this.timer !== undefined) {
      this.lookWithin(nextLookAfterWakeUpInMs(this.sinceLookMs));
    }
  }

  private get sinceLookMs(): number {
    return performance.now() - this.lookedAtMs;
  }

  /** Never later than planned: where one refresh after the other ends, or is told of, there would be no look at all. */
  private lookWithin(waitMs: number): void {
    if (!this.isStopped) {
      clearTimeout(this.timer);
      const nowMs = performance.now();
      this.lookAtMs = Math.min(this.lookAtMs, nowMs + waitMs);
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.look = this.lookAround();
      }, this.lookAtMs - nowMs);
    }
  }

  /** What has been refreshed is news to those above. */
  private hurry(): void {
    this.intervalMs = nextLookInMs(0, [], Math.random());
    if (this.timer !== undefined) {
      this.lookWithin(this.intervalMs);
    }
  }

  private async lookAround(): Promise<void> {
    this.lookedAtMs = performance.now();
    this.lookAtMs = Infinity;
    this.isWoken = false;
    // Also while nothing is refreshed, and where looking takes too long because of what there is.
    this.options.changeLog.maybeKeep(this.options.dataSourceName);
    try {
      const dueInMs = await this.beginDue();
      this.intervalMs = nextLookInMs(this.intervalMs, dueInMs, Math.random());
    } catch (error) {
      this.intervalMs = nextLookAfterErrorInMs(this.intervalMs, Math.random());
      this.warn(error);
    }
    this.lookWithin(this.isWoken ? nextLookAfterWakeUpInMs(this.sinceLookMs) : this.intervalMs);
  }

  /** @returns in how many milliseconds views are due that are not yet */
  private async beginDue(): Promise<number[]> {
    const { dataSourceName, database, definitions, runner } = this.options;
    const changes = await this.reading.read();
    if (changes.some(({ isCaptured }) => !isCaptured)) {
      runner.repairCaptures(dataSourceName);
    }
    if (this.isStopped || !isAnyPending(changes)) {
      return [];
    }
    const graph = await planGraph(database, { targets: definitions, registered: definitions });
    const open = new Map(
      changes
        .map((each) => [keyOf(each.definition), each] as const)
        .filter(([key, each]) => this.isOpen(key, each)),
    );
    const { due, dueInMs } = decide(open, graph);
    const views = [...due].flatMap(([key, trigger]) => {
      const view = open.get(key);
      return view ? [[key, { ...view, trigger }] as const] : [];
    });
    if (!this.isStopped) {
      this.refresher.begin(new Map(views), graph.dependencies);
    }
    return dueInMs;
  }

  private isOpen(key: string, { isPaused, isBackingOff }: PendingView): boolean {
    return !isPaused && !isBackingOff && this.refresher.isFree(key);
  }

  private warn(error: unknown): void {
    if (!this.isStopped) {
      this.rareWarning.warn(
        `Could not look for changes in data source "${this.options.dataSourceName}", and views are not refreshed after writes meanwhile; the next look is in ${Math.round(this.intervalMs)} ms: ${messageOf(error)}`,
      );
    }
  }
}

/** What has to be looked at: every view may stand below one with `maxStaleness`. */
function concerns(definitions: readonly ViewDefinition[]): (view: ViewDefinition) => boolean {
  const isAll = definitions.some(({ freshness }) => freshness?.maxStalenessMs !== undefined);
  return ({ freshness }) => isAll || freshness?.onWrite !== undefined;
}
