import type { DataSourceContext } from '../definition/data-source.context.js';
import { viewName } from '../definition/view-definition.js';
import { type ClaimRow, claimTicks } from '../postgres/claim.sql.js';
import { displayName } from '../postgres/identifier.js';
import type { EarlyTick, ScheduledView } from './tick.runner.js';

/** How long ticks are collected: timers for the same time fire one after the other. */
const GATHERING_MS = 5;

/** How soon it tries again if no connection is free or rows of ticks are locked, and how often for locked rows. */
const AGAIN_MS = 100;
const MOST_AGAIN = 5;

interface DueTick {
  view: ScheduledView;
  tick: Date;
  settle: (early?: EarlyTick) => void;
}

/**
 * The due ticks, shared by all processes. Each process claims as many as it can begin, all in one statement, and more when it
 * has done some.
 */
export class TickClaims {
  private readonly due = new Map<string, DueTick>();
  private timer?: NodeJS.Timeout;
  private isClaiming = false;
  private againCount = 0;
  private isStopped = false;

  constructor(
    private readonly context: Pick<DataSourceContext, 'database'>,
    private readonly attempt: (view: ScheduledView, tick: Date) => Promise<EarlyTick | undefined>,
  ) {}

  /**
   * Gets a tick done, by this process or another. Never throws.
   *
   * @returns once this process has nothing more to do with it; the tick if its time has not come
   */
  async add(view: ScheduledView, tick: Date): Promise<EarlyTick | undefined> {
    return new Promise((resolve) => {
      const name = viewName(view);
      this.due.get(name)?.settle();
      this.due.set(name, { view, tick, settle: resolve });
      this.againCount = 0;
      this.claimIn(GATHERING_MS);
    });
  }

  /** Claims nothing more. Running refreshes go on. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    this.leave(this.due);
  }

  /** A connection is free. */
  private hurry(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.claim();
  }

  private claimIn(ms: number): void {
    if (this.isStopped) {
      this.leave(this.due);
      return;
    }
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.claim();
    }, ms).unref();
  }

  private async claim(): Promise<void> {
    if (this.isStopped || this.isClaiming || this.due.size === 0) {
      return;
    }
    if (this.context.database.freeCount === 0) {
      this.claimIn(AGAIN_MS);
      return;
    }
    this.isClaiming = true;
    const asked = new Map(this.due);
    try {
      this.begin(asked, await this.ask(asked));
    } catch {
      // As if each were claimed: they are attempted, and the attempt reports what is wrong.
      asked.forEach((_, name) => this.take(name, asked));
    } finally {
      this.isClaiming = false;
    }
    if ([...this.due].some(([name, each]) => asked.get(name) !== each)) {
      this.claimIn(GATHERING_MS);
    }
  }

  private async ask(asked: ReadonlyMap<string, DueTick>): Promise<ClaimRow[]> {
    const { database } = this.context;
    const wanted = [...asked.values()].map(({ view, tick }) => ({ view: view.name, tick }));
    const statement = claimTicks(database.stateSchema, wanted, database.freeCount);
    // On one of the free connections, so that a claim doesn't wait behind other bookkeeping and the refresh can
    // use the connection.
    return database.session((session) => session.query<ClaimRow>(statement));
  }

  private begin(asked: ReadonlyMap<string, DueTick>, rows: ClaimRow[]): void {
    let openCount = 0;
    let claimedCount = 0;
    for (const { schema_name: schema, view_name: name, due_in_ms: dueInMs, ...row } of rows) {
      if (schema === null || name === null) {
        openCount = row.open_count ?? 0;
      } else if (dueInMs === null) {
        this.take(displayName({ schema, name }), asked);
        claimedCount++;
      } else {
        this.putOff(displayName({ schema, name }), asked, dueInMs);
      }
    }
    if (claimedCount > 0) {
      this.againCount = 0;
    }
    if (openCount === 0 || ++this.againCount > MOST_AGAIN) {
      // Other processes do them, or the next sweep.
      this.leave(asked);
    } else {
      this.claimIn(AGAIN_MS);
    }
  }

  private take(name: string, asked: ReadonlyMap<string, DueTick>): void {
    const tick = this.remove(name, asked);
    if (tick !== undefined) {
      void this.attempt(tick.view, tick.tick).then((early) => {
        tick.settle(early);
        this.hurry();
      });
    }
  }

  private putOff(name: string, asked: ReadonlyMap<string, DueTick>, dueInMs: number): void {
    const tick = this.remove(name, asked);
    tick?.settle({ tick: tick.tick, dueInMs });
  }

  private leave(asked: ReadonlyMap<string, DueTick>): void {
    asked.forEach((_, name) => this.remove(name, asked)?.settle());
  }

  /** A later tick of the view may have come meanwhile. It stays. */
  private remove(name: string, asked: ReadonlyMap<string, DueTick>): DueTick | undefined {
    const tick = asked.get(name);
    if (tick === undefined || this.due.get(name) !== tick) {
      return undefined;
    }
    this.due.delete(name);
    return tick;
  }
}
