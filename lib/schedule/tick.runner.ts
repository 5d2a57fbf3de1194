import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, type ViewSchedule, viewName } from '../definition/view-definition.js';
import { messageOf } from '../errors/error-message.js';
import { RefreshStoppedError } from '../errors/refresh.errors.js';
import { displayName, rowName } from '../postgres/identifier.js';
import { type ScheduleStateRow, selectScheduleStates } from '../postgres/schedule.sql.js';
import { tickRequest } from '../refresh/occasions.js';
import { FailureLog } from '../refresh/failure-log.js';
import type { RefreshRunner } from '../refresh/refresh.runner.js';
import { TickClaims } from './tick.claims.js';
import type { StaleWatch } from '../status/stale.watch.js';

/** A view whose schedule the application's processes keep. */
export type ScheduledView = ViewDefinition & { schedule: ViewSchedule };

export function isScheduled(view: ViewDefinition): view is ScheduledView {
  return view.schedule?.scheduler === 'application';
}

/** The views that a sweep looks at. */
export interface SweptViews {
  /** Views that may become stale or have a schedule. */
  watched: ViewDefinition[];
  /** Those that this process refreshes by their schedule. */
  scheduled: ScheduledView[];
}

/** A tick whose time has not come yet, by the database's clock. */
export interface EarlyTick {
  tick: Date;
  dueInMs: number;
}

/**
 * A timer may fire this much before its scheduled time and still mean that time. It must be less than a second,
 * the finest schedule.
 */
const TIMER_TOLERANCE_MS = 250;

/**
 * Does the due ticks. A timer or a sweep is only an occasion to try: whether the tick must be done is decided
 * under the refresh lock, by the database's clock and the view's state row.
 */
export class TickRunner {
  private readonly failures: FailureLog;
  private readonly claims: TickClaims;

  constructor(
    private readonly context: DataSourceContext,
    private readonly refreshes: RefreshRunner,
    private readonly staleness: StaleWatch,
  ) {
    this.failures = new FailureLog(context.log);
    this.claims = new TickClaims(context, (view, tick) => this.attempt(view, tick));
  }

  /** Does the tick whose timer fires now in this process, unless another process does it. Never throws. */
  async wake(view: ScheduledView): Promise<EarlyTick | undefined> {
    const tick = view.schedule.grid.lastTickAt(new Date(Date.now() + TIMER_TOLERANCE_MS));
    return tick && this.share(view, tick);
  }

  /**
   * Gets a tick done, by this process or another. Never throws.
   *
   * @returns the tick if this process's clock is ahead and its time has not come
   */
  async share(view: ScheduledView, tick: Date): Promise<EarlyTick | undefined> {
    return this.claims.add(view, tick);
  }

  /** Begins no more ticks for timers. */
  stop(): void {
    this.claims.stop();
  }

  /**
   * Does all due ticks that are not done because of a crash, a stalled process or a taken lock. Of several missed
   * ticks of a view, only the last is done. Also reports views that have become stale. Doesn't wait for the
   * refreshes: a long one must not hold up the next sweep.
   *
   * @returns for how many milliseconds another sweep can find nothing: until a tick comes or a view may become stale.
   * 0 while a tick is not done, and if writes decide what is stale
   * @throws if the database can't be read
   */
  async sweep({ watched, scheduled }: SweptViews): Promise<number> {
    const states = await this.readStates(scheduled);
    const restsMs = scheduled.map((view) => {
      const state = states.get(displayName(view.name));
      const tick = state && undoneTick(view, state);
      if (tick !== undefined && !state?.is_backing_off && !state?.is_paused) {
        void this.share(view, tick);
      }
      return state === undefined || tick !== undefined ? 0 : untilNextTickMs(view, state);
    });
    return Math.min(...restsMs, await this.staleness.look(watched));
  }

  private async readStates(views: ScheduledView[]): Promise<Map<string, ScheduleStateRow>> {
    if (views.length === 0) {
      return new Map();
    }
    const { database } = this.context;
    const names = views.map((view) => view.name);
    const states = await database.bookkeeping((session) =>
      session.query<ScheduleStateRow>(selectScheduleStates(database.stateSchema, names)),
    );
    return new Map(states.map((state) => [rowName(state), state]));
  }

  /**
   * Attempts one tick. Never throws: a failure is recorded and logged, and a later sweep or tick tries again.
   *
   * @returns the tick if this process's clock is ahead and its time has not come
   */
  private async attempt(view: ScheduledView, tick: Date): Promise<EarlyTick | undefined> {
    try {
      const result = await this.refreshes.run(
        tickRequest(view, tick, view.schedule.grid.nextTickAfter(tick)),
      );
      if (result.outcome === 'refreshed') {
        this.failures.succeeded(viewName(view));
      }
      return result.outcome === 'skipped' && result.reason === 'tick_early'
        ? { tick, dueInMs: tick.getTime() - result.startedAt.getTime() }
        : undefined;
    } catch (error) {
      this.log(view, tick, error);
      return undefined;
    }
  }

  private log(view: ScheduledView, tick: Date, error: unknown): void {
    const message = `Tick ${tick.toISOString()}: ${messageOf(error)}`;
    if (error instanceof RefreshStoppedError) {
      this.context.log.debug(message);
    } else {
      this.failures.failed(viewName(view), error, message);
    }
  }
}

/** The last tick by the database's clock, if it is not done. */
function undoneTick(view: ScheduledView, state: ScheduleStateRow): Date | undefined {
  const tick = view.schedule.grid.lastTickAt(new Date(state.now));
  return tick && (state.last_tick === null || state.last_tick < tick.getTime()) ? tick : undefined;
}

function untilNextTickMs({ schedule }: ScheduledView, { now }: ScheduleStateRow): number {
  const next = schedule.grid.nextTickAfter(new Date(now));
  return next === undefined ? Infinity : next.getTime() - now;
}
