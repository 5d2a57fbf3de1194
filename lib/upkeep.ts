import { Logger } from '@nestjs/common';
import { messageOf } from './errors/error-message.js';
import type { Database } from './postgres/database.js';
import { isDoneWithin } from './postgres/time-limit.js';

/** How long a stopping application waits for a batch that is under way. What is left is done another time. */
const STOP_TIMEOUT_MS = 2_000;

export interface UpkeepOptions {
  /** The shortest time between two times that a process does it for one data source. */
  intervalMs: number;
  /** The first sentence of the warning when it fails. */
  complaint: (database: Database) => string;
  /** Does it, and returns what was done, to be logged for debugging. It has to begin no batch once `isStopped`. */
  work: (database: Database) => Promise<string | undefined>;
}

/** Work that is done now and then in the background: it keeps the library's tables small, and its triggers in place. */
export class Upkeep {
  private readonly logger = new Logger('MaterializedViews');
  private readonly lastAtMs = new Map<Database, number>();
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
  maybeDo(database: Database, intervalMs = this.options.intervalMs): void {
    const now = performance.now();
    const lastAt = this.lastAtMs.get(database);
    if (this.isStopped || (lastAt !== undefined && now - lastAt < intervalMs)) {
      return;
    }
    this.lastAtMs.set(database, now);
    const work = this.doQuietly(database);
    this.active.add(work);
    void work.finally(() => this.active.delete(work));
  }

  /** Begins no more batches, and waits a short time for those under way. */
  async stop(): Promise<void> {
    this.hasStopped = true;
    await isDoneWithin(Promise.all(this.active), STOP_TIMEOUT_MS);
  }

  private async doQuietly(database: Database): Promise<void> {
    const { work, complaint } = this.options;
    try {
      const done = await work(database);
      if (done !== undefined) {
        this.logger.debug(done);
      }
    } catch (error) {
      if (!this.isStopped) {
        this.logger.warn(`${complaint(database)} Refreshes go on as before: ${messageOf(error)}`);
      }
    }
  }
}
