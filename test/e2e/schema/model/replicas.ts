import type { TestingModule } from '@nestjs/testing';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  MaterializedViewsModule,
  type MaterializedViewsModuleOptions,
  SchemaService,
  MaterializedViewChannels,
  type SyncReport,
} from '../../../../lib/index.js';
import { boot, typeOrm } from '../../../support/test-app.js';
import type { TestDatabase } from '../../../support/test-database.js';
import type { ReleasedView } from './application.js';
import { classesOf } from './classes.js';

export type Options = MaterializedViewsModuleOptions & { url?: string };

/** The running processes of the application. */
export class Replicas {
  bootCount = 0;
  readonly reports: SyncReport[] = [];
  private readonly running: TestingModule[] = [];
  private readonly collect = (report: unknown): void =>
    void this.reports.push(report as SyncReport);

  constructor(private readonly database: TestDatabase) {
    subscribe(MaterializedViewChannels.sync, this.collect);
  }

  /** Stops all processes, then boots one of the given release. */
  async restart(views: ReleasedView[], options: Options = {}): Promise<TestingModule> {
    await this.stop();
    return this.start(views, options);
  }

  /** Boots another process. */
  async start(views: ReleasedView[], { url, ...options }: Options = {}): Promise<TestingModule> {
    this.bootCount++;
    const entities = classesOf(views);
    const app = await boot(
      typeOrm(this.database, { autoLoadEntities: false, entities, ...(url && { url }) }),
      MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
    );
    this.running.push(app);
    return app;
  }

  get last(): TestingModule | undefined {
    return this.running.at(-1);
  }

  async schemaOf(views: ReleasedView[], options: Options = {}): Promise<SchemaService> {
    return (await this.restart(views, options)).get(SchemaService);
  }

  async stop(): Promise<void> {
    await Promise.all(this.running.splice(0).map((app) => app.close()));
  }

  async end(): Promise<void> {
    await this.stop();
    unsubscribe(MaterializedViewChannels.sync, this.collect);
  }
}
