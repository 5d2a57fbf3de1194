import type { Log } from './data-source.context.js';
import { messageOf } from '../errors/error-message.js';
import { isDoneWithin } from '../postgres/time-limit.js';

/** How long a stopping application waits for a running batch. The rest is done another time. */
const STOP_TIMEOUT_MS = 2_000;

export interface UpkeepOptions {
  /** The shortest time between two runs in a process. */
  intervalMs: number;
  /** The first sentence of the warning when it fails. */
  complaint: string;
  /** Does it, and returns what was done, for the debug log. It must begin no batch once `isStopped`. */
  work: () => Promise<string | undefined>;
  log: Log;
}

interface Plan {
  timer: NodeJS.Timeout;
  /** By `performance.now()`. */
  atMs: number;
}

/**
 * Work that runs from time to time in the background: it keeps the library's tables small and its triggers in place.
 */
export class Upkeep {
  /** By `performance.now()`. */
  private lastAtMs = -Infinity;
  private active?: Promise<void>;
  private plan?: Plan;
  private hasStopped = false;

  constructor(private readonly options: UpkeepOptions) {}

  get isStopped(): boolean {
    return this.hasStopped;
  }

  /** Begins the work, unless this process did so recently or is still doing it. Never throws. */
  maybeDo(): void {
    if (this.waitMs <= 0) {
      this.begin();
    }
  }

  /**
   * Begins the work as soon as allowed, once, however often it is called meanwhile. Never throws.
   *
   * @param inMs not before that time
   */
  doSoon(inMs = 0): void {
    const waitMs = Math.max(inMs, this.waitMs);
    if (waitMs > 0) {
      this.planIn(waitMs);
    } else {
      this.begin();
    }
  }

  /** Resolves when none is running. */
  async untilIdle(): Promise<void> {
    await this.active;
  }

  /** Begins no more batches, and waits a short time for a running one. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    this.forgetPlan();
    await isDoneWithin(Promise.all([this.active]), STOP_TIMEOUT_MS);
  }

  /** How long the work may not begin; 0 or less if it may. */
  private get waitMs(): number {
    const { intervalMs } = this.options;
    return this.active ? intervalMs : this.lastAtMs + intervalMs - performance.now();
  }

  private planIn(waitMs: number): void {
    const atMs = performance.now() + waitMs;
    if (this.isStopped || atMs >= (this.plan?.atMs ?? Infinity)) {
      return;
    }
    this.forgetPlan();
    const timer = setTimeout(() => {
      this.plan = undefined;
      this.doSoon();
    }, waitMs);
    timer.unref();
    this.plan = { timer, atMs };
  }

  private forgetPlan(): void {
    clearTimeout(this.plan?.timer);
    this.plan = undefined;
  }

  private begin(): void {
    if (this.isStopped) {
      return;
    }
    this.forgetPlan();
    this.lastAtMs = performance.now();
    this.active = this.doQuietly().finally(() => (this.active = undefined));
  }

  private async doQuietly(): Promise<void> {
    const { work, complaint, log } = this.options;
    try {
      const done = await work();
      if (done !== undefined) {
        log.debug(done);
      }
    } catch (error) {
      if (!this.isStopped) {
        log.warn(`${complaint} Refreshes go on as before: ${messageOf(error)}`);
      }
    }
  }
}
