import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { DefinitionRegistry } from '../definition/definition.registry.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { syncLockKey } from '../postgres/advisory-lock.js';
import { lock } from '../postgres/advisory-lock.sql.js';
import type { Database } from '../postgres/database.js';
import type { Session } from '../postgres/session.js';
import { setLocalLockTimeout } from '../postgres/transaction.sql.js';
import { type CreatedView, CreationRun } from './creation-run.js';
import { type CreationPlan, isEmptyPlan, planCreation } from './creation-plan.js';
import { readDatabaseState } from './database-state.js';
import { schemaErrorFrom } from './schema-error.js';

/** Makes the database have what the code declares. */
@Injectable()
export class SchemaService {
  private readonly logger = new Logger('MaterializedViews');

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(DefinitionRegistry) private readonly definitions: DefinitionRegistry,
  ) {}

  /**
   * Creates the schemas, views and indexes that a data source lacks, and the library's own tables, in
   * one transaction: all or nothing. A view that exists is left as it is.
   *
   * @throws SyncLockTimeoutError when another process creates for longer than `syncTimeout`
   * @throws SchemaSyncError when something cannot be created
   */
  async createMissing(dataSourceName: string): Promise<CreatedView[]> {
    const database = this.dataSources.get(dataSourceName);
    const views = this.definitions.all().filter((view) => view.dataSourceName === dataSourceName);
    if (views.length === 0) {
      return [];
    }
    try {
      const created = await this.createUnderLock(database, views);
      created.forEach((each) => this.log(each));
      return created;
    } catch (error) {
      throw schemaErrorFrom(error, database.stateSchema);
    }
  }

  private async createUnderLock(
    database: Database,
    views: readonly ViewDefinition[],
  ): Promise<CreatedView[]> {
    const plan = (session: Session): Promise<CreationPlan> =>
      readDatabaseState(session, database.stateSchema, views).then((state) =>
        planCreation(views, state),
      );
    // Nothing missing is the usual case at boot: it takes no lock and needs no right to create.
    if (isEmptyPlan(await database.session(plan))) {
      return [];
    }
    const { syncTimeoutMs, lockTimeoutMs, statementTimeoutMs } = this.registrations.options;
    const limits = { lockTimeoutMs: syncTimeoutMs, statementTimeoutMs };
    return database.transaction(limits, async (session) => {
      await session.query(lock(syncLockKey()));
      await session.query(setLocalLockTimeout(lockTimeoutMs));
      // Worked out again: another process may have done it all while this one waited.
      return new CreationRun(session, database.stateSchema).apply(await plan(session));
    });
  }

  private log({ view, indexCount, durationMs }: CreatedView): void {
    const indexes = `${indexCount} ${indexCount === 1 ? 'index' : 'indexes'}`;
    this.logger.log(
      durationMs === undefined
        ? `Added ${indexes} to materialized view "${viewName(view)}"`
        : `Created materialized view "${viewName(view)}" with ${indexes} in ${Math.round(durationMs)} ms`,
    );
  }
}
