import { Logger } from '@nestjs/common';
import { messageOf } from './errors/error-message.js';
import type { Database } from './postgres/database.js';
import { isDoneWithin } from './postgres/time-limit.js';

/** How long a stopping application waits for a batch that is under way. What it did not get to is for later. */
const STOP_TIMEOUT_MS = 2_000;

export interface UpkeepOptions {
  /** How often a process does it for one data source, at the most. */
  intervalMs: number;
  /** What is wrong when it fails, as the beginning of a sentence. */
  complaint: (database: Database) => string;
  /** Gives what there is to be logged. It begins no batch when `isStopped`. */
  work: (database: Database) => Promise<string>;
}

/** Work in the background, after refreshes, now and then: it keeps the library's own tables small, and its triggers in place. */
export class Upkeep {
  private readonly logger = new Logger('MaterializedViews');
  private readonly lastAtMs = new Map<Database, number>();
  private readonly active = new Set<Promise<void>>();
  private hasStopped = false;

  constructor(private readonly options: UpkeepOptions) {}

  get isStopped(): boolean {
    return this.hasStopped;
  }

  /** Does it, unless this process did so a short time ago. Never throws. */
  maybeDo(database: Database): void {
    const now = performance.now();
    const lastAt = this.lastAtMs.get(database);
    if (this.isStopped || (lastAt !== undefined && now - lastAt < this.options.intervalMs)) {
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
      this.logger.debug(await work(database));
    } catch (error) {
      if (!this.isStopped) {
        this.logger.warn(`${complaint(database)} Refreshes go on as before: ${messageOf(error)}`);
      }
    }
  }
}
