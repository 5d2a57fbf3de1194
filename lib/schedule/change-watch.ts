import type { DataSourceContext } from '../definition/data-source.context.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import {
  leastIntervalMs,
  type LookPace,
  nextLookAfterErrorInMs,
  nextLookAfterWakeUpInMs,
  nextLookInMs,
} from './look-interval.js';
import { isDoneWithin } from '../postgres/time-limit.js';
import { keyOf, planGraph } from '../refresh/graph-plan.js';
import type { ChangeLogKeeper } from '../tracking/change-log.keeper.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { type PendingRead, PendingMemory } from '../tracking/pending-memory.js';
import { decide, isAnyPending } from './due-views.js';
import { DueRefresher, type DueView } from './due.refresher.js';
import { RareWarning } from './rare-warning.js';
import { RefreshRounds } from './refresh-rounds.js';

/**
 * How long a stopping application waits for a poll: without an answer from the server, a poll may take most of a
 * minute.
 */
const STOP_TIMEOUT_MS = 2_000;

/**
 * Polls for the pending changes of one data source's views, and refreshes those views. It relies only on the
 * database, so it also finds what was written while no process ran. Like a cron job, it keeps the process alive
 * until it is stopped.
 */
export class ChangeWatch {
  /** What is known of the views that are polled. */
  private readonly memory: PendingMemory;
  private readonly refresher: DueRefresher;
  private timer?: NodeJS.Timeout;
  private look: Promise<void> = Promise.resolve();
  private intervalMs = 0;
  /** The shortest time between two polls. */
  private leastMs = leastIntervalMs(0);
  /** When the last poll began, by `performance.now()`. */
  private lookedAtMs = -Infinity;
  /** When the next poll begins, by `performance.now()`. */
  private lookAtMs = Infinity;
  /** Whether a notification of a write has arrived since the last poll began. */
  private isWoken = false;
  private readonly rareWarning: RareWarning;
  private readonly rounds: RefreshRounds;
  private isStopped = false;

  constructor(
    private readonly context: DataSourceContext,
    private readonly runner: RefreshRunner,
    private readonly changeLog: Pick<ChangeLogKeeper, 'maybeKeep'>,
  ) {
    // All views of the data source, because a view's freshness depends on those below it.
    const definitions = context.views.materialized();
    this.memory = new PendingMemory(
      context.database.stateSchema,
      definitions.filter(concerns(definitions)),
    );
    // After a failed refresh, this process leaves a view alone for one sweep interval.
    this.refresher = new DueRefresher(context.log, runner, context.options.sweepIntervalMs, () => {
      this.hurry();
    });
    this.rounds = new RefreshRounds(context);
    this.rareWarning = new RareWarning(context.log);
  }

  start(): void {
    this.intervalMs = nextLookInMs(0, [], this.pace);
    this.lookWithin(this.intervalMs);
  }

  /** Begins no more polls, and waits a short time for a running one. Running refreshes go on. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearTimeout(this.timer);
    await isDoneWithin(this.look, STOP_TIMEOUT_MS);
  }

  /** Something was written: polls at once. A running poll may have missed it, so another one follows. */
  wake(): void {
    this.isWoken = true;
    if (this.timer !== undefined) {
      this.lookWithin(nextLookAfterWakeUpInMs(this.sinceLookMs, this.leastMs));
    }
  }

  private get pace(): LookPace {
    return { leastMs: this.leastMs, random: Math.random() };
  }

  private get sinceLookMs(): number {
    return performance.now() - this.lookedAtMs;
  }

  /**
   * Plans the next poll, never later than planned before: otherwise a steady stream of ending refreshes or
   * notifications would delay it for ever.
   */
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

  /** Polls soon after a refresh has ended, because it is a change to the views above. */
  private hurry(): void {
    this.intervalMs = nextLookInMs(0, [], this.pace);
    if (this.timer !== undefined) {
      this.lookWithin(this.intervalMs);
    }
  }

  private async lookAround(): Promise<void> {
    this.lookedAtMs = performance.now();
    this.lookAtMs = Infinity;
    this.isWoken = false;
    // Not only after refreshes, because the log grows without them too. And before the poll, which may fail on a long
    // log.
    this.changeLog.maybeKeep();
    try {
      const dueInMs = await this.beginDue();
      this.intervalMs = nextLookInMs(this.intervalMs, dueInMs, this.pace);
    } catch (error) {
      this.intervalMs = nextLookAfterErrorInMs(this.intervalMs, Math.random());
      this.warn(error);
    }
    this.lookWithin(
      this.isWoken ? nextLookAfterWakeUpInMs(this.sinceLookMs, this.leastMs) : this.intervalMs,
    );
  }

  /** @returns the milliseconds until each waiting view is due */
  private async beginDue(): Promise<number[]> {
    const { views: changes, tookMs } = await this.readPending();
    this.leastMs = leastIntervalMs(tookMs);
    if (changes.some(({ isCaptured }) => !isCaptured)) {
      this.runner.repairCaptures();
    }
    const open = new Map(
      changes
        .map((each) => [keyOf(each.definition), each] as const)
        .filter(([key]) => this.refresher.isFree(key)),
    );
    if (this.isStopped || !isAnyPending([...open.values()])) {
      return [];
    }
    const graph = await planGraph(this.context, {
      targets: this.context.views.materialized(),
      // Durations are for limits to staleness, and reading them takes longer than the rest.
      isTimed: changes.some(({ definition }) => definition.freshness?.maxStalenessMs !== undefined),
    });
    const { due, dueInMs } = decide(open, graph);
    const views = await this.withRounds(
      [...due].flatMap(([key, trigger]) => {
        const view = open.get(key);
        return view ? [[key, { ...view, trigger }] as const] : [];
      }),
    );
    if (!this.isStopped) {
      this.refresher.begin(views, graph.dependencies);
    }
    return dueInMs;
  }

  private readPending(): Promise<PendingRead> {
    return this.context.database.bookkeeping((session) => this.memory.look(session));
  }

  /** The due views, without those that only their own refreshes keep due. */
  private async withRounds(
    due: (readonly [string, Omit<DueView, 'round'>])[],
  ): Promise<Map<string, DueView>> {
    const roundOf = await this.rounds.read(due.map(([, view]) => view));
    const free = new Map<string, DueView>();
    for (const [key, view] of due) {
      const { round, holdMs } = roundOf(view.definition);
      if (holdMs > 0) {
        this.refresher.hold(key, holdMs);
      } else {
        free.set(key, { ...view, round });
      }
    }
    return free;
  }

  private warn(error: unknown): void {
    if (!this.isStopped) {
      this.rareWarning.warn(
        `Could not check for changes in data source "${this.context.name}", and views are not refreshed after writes meanwhile; the next check is in ${Math.round(this.intervalMs)} ms: ${messageOf(error)}`,
      );
    }
  }
}

/** The views to poll: all of them if one has `maxStaleness`, because any may be below that one. */
function concerns(definitions: readonly ViewDefinition[]): (view: ViewDefinition) => boolean {
  const isAll = definitions.some(({ freshness }) => freshness?.maxStalenessMs !== undefined);
  return ({ freshness }) => isAll || freshness?.onWrite !== undefined;
}
