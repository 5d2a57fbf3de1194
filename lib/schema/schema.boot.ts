import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSourceRegistry } from '../definition/data-source.registry.js';
import { withoutRowData } from '../errors/error-message.js';
import { ModuleRegistrations } from '../module-registrations.js';
import { CaptureKeeper } from './capture.keeper.js';
import { describeIdle, describePostponed } from './capture-warnings.js';
import { SchemaSynchronizer } from './schema.synchronizer.js';
import type { SyncReport } from './sync-report.js';
import { describeUnrecorded, readUnrecorded } from './unsynchronized-boot.js';

/** What booting does with the schema of a data source, by the policy of the module's options. */
@Injectable()
export class SchemaBoot {
  private readonly logger = new Logger('MaterializedViews');

  constructor(
    @Inject(ModuleRegistrations) private readonly registrations: ModuleRegistrations,
    @Inject(DataSourceRegistry) private readonly dataSources: DataSourceRegistry,
    @Inject(SchemaSynchronizer) private readonly synchronizer: SchemaSynchronizer,
    @Inject(CaptureKeeper) private readonly captures: CaptureKeeper,
  ) {}

  async boot(dataSource: string): Promise<void> {
    const { syncPolicy } = this.registrations.options;
    if (syncPolicy.synchronize === false) {
      await this.look(dataSource);
      return;
    }
    const { report, diff, postponed } = await this.synchronizer.carryOut(dataSource, syncPolicy);
    this.log(report);
    if (postponed !== undefined) {
      this.logger.warn(describePostponed(postponed));
      this.captures.finishLater(dataSource);
    }
    const idle = describeIdle(diff, syncPolicy);
    if (idle !== undefined) {
      this.logger.warn(idle);
    }
  }

  /** Best effort: a process that changes nothing has to boot where it may not even read the catalog. */
  private async look(dataSource: string): Promise<void> {
    const { stateSchema } = this.dataSources.get(dataSource);
    const views = this.synchronizer.viewsOf(dataSource);
    try {
      const unrecorded = await this.synchronizer.within(dataSource, (session) =>
        readUnrecorded(session, stateSchema, views),
      );
      if (unrecorded.length > 0) {
        this.logger.warn(describeUnrecorded(unrecorded));
      }
    } catch (error) {
      this.logger.warn(
        `Could not find out which changes the materialized views of data source "${dataSource}" are told of: ${withoutRowData(error)}`,
      );
    }
  }

  private log({ views, dataSource, durationMs }: SyncReport): void {
    for (const { view, status, reason } of views) {
      if (status === 'skipped') {
        this.logger.warn(
          `Materialized view "${view}" is not as declared, and is left so: ${reason}`,
        );
      } else if (status === 'orphaned') {
        this.logger.warn(
          `Materialized view "${view}" was made by this library, and ${reason}. Drop it with \`prune: true\` or SchemaService.apply.`,
        );
      } else if (status !== 'unchanged') {
        this.logger.log(
          status === 'created'
            ? `Created materialized view "${view}"`
            : `Materialized view "${view}": ${status} (${reason})`,
        );
      }
    }
    this.logger.debug(`Synchronised data source "${dataSource}" in ${Math.round(durationMs)} ms`);
  }
}
