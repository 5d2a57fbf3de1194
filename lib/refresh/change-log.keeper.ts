import { Inject, Injectable } from '@nestjs/common';
import type { QueryResultRow } from 'pg';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
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
import type { Database } from '../postgres/database.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { Upkeep } from '../upkeep.js';

/** Rows that one transaction deletes at the most: it shares its connection with the work of refreshes. */
const BATCH_SIZE = 10_000;

/** How many rows of one table may be waiting for a view that is not refreshed. */
const SOURCE_LIMIT = 10_000;

/** How often a process does this for one data source. */
const INTERVAL_MS = 30_000;

/** Before all transactions. */
const FIRST_XID = '0';

/** Keeps the log of changes small. */
@Injectable()
export class ChangeLogKeeper {
  private readonly upkeep = new Upkeep({
    intervalMs: INTERVAL_MS,
    complaint: ({ stateSchema }) => `${stateSchema}.change_log could not be made smaller.`,
    work: async (database) =>
      `Deleted ${await this.keepOnce(database)} rows of ${database.stateSchema}.change_log`,
  });
  /** After a night without a process it may take longer than until the next time. */
  private readonly underWay = new Set<Database>();

  constructor(@Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry) {}

  /**
   * Deletes the changes that every view has seen, and puts few rows in the place of many where a view is not
   * refreshed. In batches, each a short transaction of its own: others have the connection in between.
   *
   * @returns how many rows were deleted because they had been seen
   */
  async keep(database: Database, batchSize = BATCH_SIZE): Promise<number> {
    const deletedCount = await this.deleteSeen(database, batchSize);
    const crowded = await this.alone<CrowdedSourceRow>(
      database,
      selectCrowdedSources(database.stateSchema, SOURCE_LIMIT),
    );
    for (const { source } of crowded) {
      await this.compact(database, source, batchSize);
    }
    return deletedCount;
  }

  /**
   * Does so in the background, unless it did a short time ago. Never throws. Also where no view is told of
   * changes: triggers may have stayed that were made for one that was, and go on writing.
   */
  maybeKeep(dataSourceName: string): void {
    this.upkeep.maybeDo(this.dataSources.get(dataSourceName));
  }

  /** Begins no more batches, and waits a short time for those under way. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }

  private async keepOnce(database: Database): Promise<number> {
    if (this.underWay.has(database)) {
      return 0;
    }
    this.underWay.add(database);
    try {
      return await this.keep(database);
    } catch (error) {
      if (errorCode(error) === SqlState.undefinedTable) {
        return 0;
      }
      throw error;
    } finally {
      this.underWay.delete(database);
    }
  }

  private async deleteSeen(database: Database, batchSize: number): Promise<number> {
    const statement = deleteSeenChanges(database.stateSchema, batchSize);
    let total = 0;
    let deleted = batchSize;
    while (deleted === batchSize && !this.upkeep.isStopped) {
      const [row] = await this.alone<DeletedChangesRow>(database, statement);
      deleted = row?.deleted_count ?? 0;
      total += deleted;
    }
    return total;
  }

  private async compact(database: Database, source: string, batchSize: number): Promise<void> {
    let fromXid = FIRST_XID;
    let compacted = batchSize;
    while (compacted === batchSize && !this.upkeep.isStopped) {
      const statement = compactChanges(database.stateSchema, { source, fromXid, batchSize });
      const [row] = await this.alone<CompactedRow>(database, statement);
      compacted = row?.compacted_count ?? 0;
      fromXid = row?.last_xid ?? fromXid;
    }
  }

  /** Two that compacted at once could wait for each other's rows. Whoever is second leaves it to the first. */
  private async alone<Row extends QueryResultRow>(
    database: Database,
    statement: SqlStatement,
  ): Promise<Row[]> {
    return database.bookkeeping(async (session) => {
      const [lock] = await session.query<TryLockRow>(tryLock(changeLogLockKey()));
      if (!lock?.acquired) {
        return [];
      }
      await session.query(followIndex());
      return session.query<Row>(statement);
    });
  }
}
