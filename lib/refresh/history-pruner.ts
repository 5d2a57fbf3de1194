import type { DataSourceContext } from '../definition/data-source.context.js';
import {
  type PrunableRow,
  type PrunedRow,
  pruneHistory,
  selectPrunable,
  selectViewsWithHistory,
  type ViewWithHistoryRow,
} from '../postgres/history-pruning.sql.js';
import { followIndex } from '../postgres/change-log.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { Lease } from '../definition/lease.js';
import { Upkeep } from '../definition/upkeep.js';
import type { QueryResultRow } from 'pg';

/** The maximum number of rows that one transaction deletes: it shares its connection with refreshes. */
const BATCH_SIZE = 1_000;

/** The maximum number of views that one transaction checks. */
const VIEWS_AT_A_TIME = 25;

/** How often one of the processes with the same limits checks for old rows. */
const INTERVAL_MS = 3_600_000;

/** Prunes the history of refreshes. */
export class HistoryPruner {
  private readonly upkeep: Upkeep;
  private readonly lease: Lease;

  constructor(private readonly context: DataSourceContext) {
    const { stateSchema } = context.database;
    const times = { heldMs: INTERVAL_MS, slotMs: 0, longestTurnMs: 0 };
    this.lease = new Lease(context, times);
    this.upkeep = new Upkeep({
      intervalMs: INTERVAL_MS,
      complaint: `Old rows of ${stateSchema}.refresh_history could not be deleted; the next attempt is in an hour.`,
      work: async () => {
        const count = (await this.isTurn()) ? await this.prune() : 0;
        return count === 0
          ? undefined
          : `Deleted ${count} old rows of ${stateSchema}.refresh_history`;
      },
      log: context.log,
    });
  }

  /**
   * Deletes runs older than `history.maxAge`, and each view's runs beyond the last `history.maxCount` (skipped
   * ticks are counted separately), but never its last success and last failure. It works in batches of views and
   * rows, each in its own transaction.
   *
   * @returns how many rows were deleted
   */
  async prune(): Promise<number> {
    const { database, options } = this.context;
    let total = 0;
    let views: ViewWithHistoryRow[] = [];
    do {
      views = await this.walk(
        selectViewsWithHistory(database.stateSchema, views.at(-1), VIEWS_AT_A_TIME),
      );
      const prunable = await this.walk<PrunableRow>(
        selectPrunable(database.stateSchema, views, options.history),
      );
      for (const each of prunable) {
        total += await this.pruneOne(each);
      }
    } while (views.length === VIEWS_AT_A_TIME && !this.upkeep.isStopped);
    return total;
  }

  /** Whether no other process has done it within the hour, which is what a lease says. Who may not ask does it. */
  private async isTurn(): Promise<boolean> {
    const { maxAgeMs, maxCount } = this.context.options.history;
    try {
      const name = `history ${maxAgeMs} ${maxCount}`;
      return (await this.lease.ask({ name, isConnectionKept: () => true })).is_holder;
    } catch (error) {
      if (!Lease.isRefused(error)) {
        throw error;
      }
      return true;
    }
  }

  private async pruneOne(prunable: PrunableRow): Promise<number> {
    let total = 0;
    let from = 0;
    let pruned = BATCH_SIZE;
    while (pruned === BATCH_SIZE && !this.upkeep.isStopped) {
      const batch = { from, batchSize: BATCH_SIZE };
      const [row] = await this.walk<PrunedRow>(
        pruneHistory(this.context.database.stateSchema, prunable, batch),
      );
      pruned = row?.pruned_count ?? 0;
      from = row?.last_started_at ?? from;
      total += pruned;
    }
    return total;
  }

  private walk<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    return this.context.database.bookkeeping(async (session) => {
      await session.query(followIndex());
      return session.query<Row>(statement);
    });
  }

  /** Prunes in the background, unless this process or another did so within the last hour. Never throws. */
  maybePrune(): void {
    this.upkeep.maybeDo();
  }

  /** Begins no more batches, and waits a short time for running ones. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }
}
