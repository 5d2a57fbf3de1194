import type { DataSourceContext } from '../definition/data-source.context.js';
import {
  type PrunableRow,
  type PrunedRow,
  pruneHistory,
  selectPrunable,
} from '../postgres/history-pruning.sql.js';
import { Upkeep } from '../definition/upkeep.js';

/** Rows that one transaction deletes at the most: it shares its connection with the work of refreshes. */
const BATCH_SIZE = 1_000;

/** How often a process looks for old rows. */
const INTERVAL_MS = 3_600_000;

/** Keeps the history of refreshes short. */
export class HistoryPruner {
  private readonly upkeep: Upkeep;

  constructor(private readonly context: DataSourceContext) {
    const { stateSchema } = context.database;
    this.upkeep = new Upkeep({
      intervalMs: INTERVAL_MS,
      complaint: `Old rows of ${stateSchema}.refresh_history could not be deleted; the next attempt is in an hour.`,
      work: async () => {
        const count = await this.prune();
        return count === 0
          ? undefined
          : `Deleted ${count} old rows of ${stateSchema}.refresh_history`;
      },
      log: context.log,
    });
  }

  /**
   * Deletes runs that are older than `history.maxAge`, and of each view those beyond its last
   * `history.maxCount`, ticks that were left out apart from all else; never its last success and its last failure.
   * In batches, each a transaction of its own.
   *
   * @returns how many rows are gone
   */
  async prune(): Promise<number> {
    const { database, options } = this.context;
    const prunable = await database.bookkeeping((session) =>
      session.query<PrunableRow>(selectPrunable(database.stateSchema, options.history)),
    );
    const statement = pruneHistory(database.stateSchema, prunable, BATCH_SIZE);
    let total = 0;
    let pruned = prunable.length > 0 ? BATCH_SIZE : 0;
    while (pruned === BATCH_SIZE && !this.upkeep.isStopped) {
      const [row] = await database.bookkeeping((session) => session.query<PrunedRow>(statement));
      pruned = row?.pruned_count ?? 0;
      total += pruned;
    }
    return total;
  }

  /** Prunes in the background, unless it did so within the last hour. Never throws. */
  maybePrune(): void {
    this.upkeep.maybeDo();
  }

  /** Begins no more batches, and waits a short time for those under way. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }
}
