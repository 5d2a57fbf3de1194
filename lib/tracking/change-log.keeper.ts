import type { QueryResultRow } from 'pg';
import type { DataSourceContext } from '../definition/data-source.context.js';
import { changeLogLockKey } from '../postgres/advisory-lock.js';
import { tryLock, type TryLockRow } from '../postgres/advisory-lock.sql.js';
import {
  compactChanges,
  type CompactedRow,
  type CrowdedSourceRow,
  type DeletedChangesRow,
  deleteSeenChanges,
  followIndex,
  selectCrowdedSources,
} from '../postgres/change-log.sql.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { Upkeep } from '../definition/upkeep.js';

/**
 * The maximum number of rows that one transaction deletes: other bookkeeping shares the connection and has to wait.
 */
const BATCH_SIZE = 10_000;

/** How many rows of one source the log keeps for a view that is not refreshed, before it compacts them. */
const SOURCE_LIMIT = 10_000;

/** How often, at most, a process does this. */
const INTERVAL_MS = 30_000;

/** Older than all transactions. */
const FIRST_XID = '0';

/** Keeps the change log small. */
export class ChangeLogKeeper {
  private readonly upkeep: Upkeep;

  constructor(private readonly context: DataSourceContext) {
    const { stateSchema } = context.database;
    this.upkeep = new Upkeep({
      intervalMs: INTERVAL_MS,
      complaint: `${stateSchema}.change_log could not be compacted.`,
      work: async () => {
        const count = await this.keepOnce();
        return count === 0 ? undefined : `Deleted ${count} rows of ${stateSchema}.change_log`;
      },
      log: context.log,
    });
  }

  /**
   * Deletes the changes that every view has seen, and replaces many rows by two if a view is not refreshed.
   * It works in batches, each a short transaction, so that others get the connection in between.
   *
   * @returns how many rows were deleted because they had been seen
   */
  async keep(batchSize = BATCH_SIZE): Promise<number> {
    const deletedCount = await this.deleteSeen(batchSize);
    const crowded = await this.alone<CrowdedSourceRow>(
      selectCrowdedSources(this.context.database.stateSchema, SOURCE_LIMIT),
    );
    for (const { source } of crowded) {
      await this.compact(source, batchSize);
    }
    return deletedCount;
  }

  /**
   * Does so in the background, unless this process did so recently. Never throws. It is needed even if no view
   * tracks changes any more: the triggers may still exist and go on writing.
   */
  maybeKeep(): void {
    this.upkeep.maybeDo();
  }

  /** Begins no more batches, and waits a short time for running ones. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }

  private async keepOnce(): Promise<number> {
    try {
      return await this.keep();
    } catch (error) {
      // The library's tables don't exist yet, or were dropped by hand.
      if (errorCode(error) === SqlState.undefinedTable) {
        return 0;
      }
      throw error;
    }
  }

  private async deleteSeen(batchSize: number): Promise<number> {
    const statement = deleteSeenChanges(this.context.database.stateSchema, batchSize);
    let total = 0;
    let deleted = batchSize;
    while (deleted === batchSize && !this.upkeep.isStopped) {
      const [row] = await this.alone<DeletedChangesRow>(statement);
      deleted = row?.deleted_count ?? 0;
      total += deleted;
    }
    return total;
  }

  private async compact(source: string, batchSize: number): Promise<void> {
    const { stateSchema } = this.context.database;
    let fromXid = FIRST_XID;
    let compacted = batchSize;
    while (compacted === batchSize && !this.upkeep.isStopped) {
      const statement = compactChanges(stateSchema, { source, fromXid, batchSize });
      const [row] = await this.alone<CompactedRow>(statement);
      compacted = row?.compacted_count ?? 0;
      fromXid = row?.last_xid ?? fromXid;
    }
  }

  /** One process at a time: two that compact could wait for each other's rows. The second does nothing. */
  private async alone<Row extends QueryResultRow>(statement: SqlStatement): Promise<Row[]> {
    return this.context.database.bookkeeping(async (session) => {
      const [lock] = await session.query<TryLockRow>(tryLock(changeLogLockKey()));
      if (!lock?.acquired) {
        this.context.locks.maybeLook();
        return [];
      }
      await session.query(followIndex());
      return session.query<Row>(statement);
    });
  }
}
