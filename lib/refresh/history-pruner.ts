import { Inject, Injectable, Logger } from '@nestjs/common';
import { messageOf } from '../errors/error-message.js';
import { ModuleRegistrations } from '../module-registrations.js';
import type { Database } from '../postgres/database.js';
import {
  type PrunableRow,
  type PrunedRow,
  pruneHistory,
  selectPrunable,
} from '../postgres/history-pruning.sql.js';
import { isDoneWithin } from './time-limit.js';

/** Rows that one transaction deletes at the most: it shares its connection with the work of refreshes. */
const BATCH_SIZE = 1_000;

/** How often a process looks for old rows of one data source. */
const INTERVAL_MS = 3_600_000;

/** How long a stopping application waits for a batch that is under way. What it did not get to is for later. */
const STOP_TIMEOUT_MS = 2_000;

/** Keeps the history of refreshes short. */
@Injectable()
export class HistoryPruner {
  private readonly logger = new Logger('MaterializedViews');
  private readonly lastAtMs = new Map<Database, number>();
  private readonly active = new Set<Promise<void>>();
  private isStopped = false;

  constructor(@Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations) {}

  /**
   * Deletes runs that are older than `history.maxAge`, and of each view those beyond its last
   * `history.maxCount`; never its last success and its last failure. In batches, each a transaction
   * of its own.
   *
   * @returns how many rows are gone
   */
  async prune(database: Database): Promise<number> {
    const limits = this.registrations.options.history;
    const prunable = await database.bookkeeping((session) =>
      session.query<PrunableRow>(selectPrunable(database.stateSchema, limits)),
    );
    const statement = pruneHistory(database.stateSchema, prunable, BATCH_SIZE);
    let total = 0;
    let pruned = prunable.length > 0 ? BATCH_SIZE : 0;
    while (pruned === BATCH_SIZE && !this.isStopped) {
      const [row] = await database.bookkeeping((session) => session.query<PrunedRow>(statement));
      pruned = row?.pruned_count ?? 0;
      total += pruned;
    }
    return total;
  }

  /** Prunes in the background, unless it did so within the last hour. Never throws. */
  maybePrune(database: Database): void {
    const now = performance.now();
    const lastAt = this.lastAtMs.get(database);
    if (this.isStopped || (lastAt !== undefined && now - lastAt < INTERVAL_MS)) {
      return;
    }
    this.lastAtMs.set(database, now);
    const work = this.pruneQuietly(database);
    this.active.add(work);
    void work.finally(() => this.active.delete(work));
  }

  /** Begins no more batches, and waits a short time for those under way. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await isDoneWithin(Promise.all(this.active), STOP_TIMEOUT_MS);
  }

  private async pruneQuietly(database: Database): Promise<void> {
    try {
      const count = await this.prune(database);
      this.logger.debug(`Deleted ${count} old rows of ${database.stateSchema}.refresh_history`);
    } catch (error) {
      if (!this.isStopped) {
        this.logger.warn(
          `Old rows of ${database.stateSchema}.refresh_history could not be deleted; the next attempt is in an hour. Refreshes go on as before: ${messageOf(error)}`,
        );
      }
    }
  }
}
