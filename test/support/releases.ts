import { jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import type { TestingModule } from '@nestjs/testing';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import {
  MaterializedViewsModule,
  SchemaService,
  MaterializedViewChannels,
  type SyncReport,
} from '../../lib/index.js';
import { boot, typeOrm } from './test-app.js';
import type { TestDatabase } from './test-database.js';
import { type TestView, viewClass } from './view-class.js';

export type ModuleOptions = NonNullable<Parameters<typeof MaterializedViewsModule.forRoot>[0]>;

/** Runs the releases of an application one after the other, and collects the current one's sync reports and warnings. */
export class Releases {
  readonly reports: SyncReport[] = [];
  private app?: TestingModule;
  private readonly warn = jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
  private readonly collect = (report: unknown): void =>
    void this.reports.push(report as SyncReport);

  constructor(private readonly database: TestDatabase) {
    subscribe(MaterializedViewChannels.sync, this.collect);
  }

  /** Stops the previous release, and boots one with these views. */
  async start(
    views: (TestView | (new () => object))[],
    options: ModuleOptions = {},
    dataSource: Parameters<typeof typeOrm>[1] = {},
  ): Promise<SchemaService> {
    await this.stop();
    this.warn.mockClear();
    this.reports.length = 0;
    const entities = views.map((view) => (typeof view === 'function' ? view : viewClass(view)));
    this.app = await boot(
      typeOrm(this.database, {
        autoLoadEntities: false,
        entities: entities as (new () => object)[],
        ...dataSource,
      }),
      MaterializedViewsModule.forRoot({ scheduling: false, ...options }),
    );
    return this.app.get(SchemaService);
  }

  get<T>(token: abstract new (...args: never[]) => T): T {
    return this.module.get<T>(token);
  }

  /** The running release. */
  get module(): TestingModule {
    if (this.app === undefined) {
      throw new Error('No release has been started');
    }
    return this.app;
  }

  /** The warnings of the last boot. */
  get warnings(): string[] {
    return this.warn.mock.calls.map(([message]) => String(message));
  }

  async stop(): Promise<void> {
    await this.app?.close();
    this.app = undefined;
  }

  async end(): Promise<void> {
    await this.stop();
    unsubscribe(MaterializedViewChannels.sync, this.collect);
    this.warn.mockRestore();
  }
}
