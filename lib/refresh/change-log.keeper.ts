import { Inject, Injectable } from '@nestjs/common';
import type { QueryResultRow } from 'pg';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import { changeLogLockKey } from '../postgres/advisory-lock.js';
import { tryLock, type TryLockRow } from '../postgres/advisory-lock.sql.js';
import {
  compactChanges,
  type DeletedChangesRow,
  deleteSeenChanges,
} from '../postgres/change-log.sql.js';
import type { Database } from '../postgres/database.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { Upkeep } from '../upkeep.js';

/** Rows that one transaction deletes at the most: it shares its connection with the work of refreshes. */
const BATCH_SIZE = 5_000;

/** How many rows of one table may be waiting for a view that is not refreshed. */
const SOURCE_LIMIT = 10_000;

/** How often a process does this for one data source. */
const INTERVAL_MS = 30_000;

/** Keeps the log of changes small. */
@Injectable()
export class ChangeLogKeeper {
  private readonly upkeep = new Upkeep({
    intervalMs: INTERVAL_MS,
    complaint: ({ stateSchema }) => `${stateSchema}.change_log could not be made smaller.`,
    work: async (database) =>
      `Deleted ${await this.keep(database)} rows of ${database.stateSchema}.change_log`,
  });

  constructor(
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
  ) {}

  /**
   * Deletes the changes that every view has seen, in batches, each a transaction of its own; and puts few
   * rows in the place of many where a view is not refreshed.
   *
   * @returns how many rows were deleted because they had been seen
   */
  async keep(database: Database): Promise<number> {
    const { stateSchema } = database;
    const statement = deleteSeenChanges(stateSchema, BATCH_SIZE);
    let total = 0;
    let deleted = BATCH_SIZE;
    while (deleted === BATCH_SIZE && !this.upkeep.isStopped) {
      const [row] = await this.alone<DeletedChangesRow>(database, statement);
      deleted = row?.deleted_count ?? 0;
      total += deleted;
    }
    if (!this.upkeep.isStopped) {
      await this.alone(database, compactChanges(stateSchema, SOURCE_LIMIT));
    }
    return total;
  }

  /** Does so in the background, unless it did a short time ago, or no view is told of changes. Never throws. */
  maybeKeep(dataSourceName: string): void {
    const isNeeded = this.definitions
      .all()
      .some((view) => view.dataSourceName === dataSourceName && view.freshness !== undefined);
    if (isNeeded) {
      this.upkeep.maybeDo(this.dataSources.get(dataSourceName));
    }
  }

  /** Begins no more batches, and waits a short time for those under way. */
  stop(): Promise<void> {
    return this.upkeep.stop();
  }

  /** Two that compacted at once could wait for each other's rows. Whoever is second leaves it to the first. */
  private async alone<Row extends QueryResultRow>(
    database: Database,
    statement: SqlStatement,
  ): Promise<Row[]> {
    return database.bookkeeping(async (session) => {
      const [lock] = await session.query<TryLockRow>(tryLock(changeLogLockKey()));
      return lock?.acquired ? session.query<Row>(statement) : [];
    });
  }
}
