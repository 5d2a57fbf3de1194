import type { Log } from './data-source.context.js';
import { messageOf } from '../errors/error-message.js';
import { isDoneWithin } from '../postgres/time-limit.js';

/** How long a stopping application waits for a batch that is under way. What is left is done another time. */
const STOP_TIMEOUT_MS = 2_000;

export interface UpkeepOptions {
  /** The shortest time between two times that a process does it. */
  intervalMs: number;
  /** The first sentence of the warning when it fails. */
  complaint: string;
  /** Does it, and returns what was done, to be logged for debugging. It has to begin no batch once `isStopped`. */
  work: () => Promise<string | undefined>;
  log: Log;
}

/** Work that is done now and then in the background: it keeps the library's tables small, and its triggers in place. */
export class Upkeep {
  /** By `performance.now()`. */
  private lastAtMs = -Infinity;
  private readonly active = new Set<Promise<void>>();
  private hasStopped = false;

  constructor(private readonly options: UpkeepOptions) {}

  get isStopped(): boolean {
    return this.hasStopped;
  }

  /**
   * Begins the work, unless this process did so a short time ago. Never throws.
   *
   * @param intervalMs how long ago that has to be
   */
  maybeDo(intervalMs = this.options.intervalMs): void {
    const nowMs = performance.now();
    if (this.isStopped || nowMs - this.lastAtMs < intervalMs) {
      return;
    }
    this.lastAtMs = nowMs;
    const work = this.doQuietly();
    this.active.add(work);
    void work.finally(() => this.active.delete(work));
  }

  /** Begins no more batches, and waits a short time for those under way. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    await isDoneWithin(Promise.all(this.active), STOP_TIMEOUT_MS);
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
