import 'reflect-metadata';
import { EventEmitter } from 'node:events';
import type { DataSource } from 'typeorm';
import type { Log } from '../definition/data-source.context.js';
import { DEFAULT_DATA_SOURCE } from '../definition/view-definition.js';
import { resolveOptions } from '../definition/module.options.js';
import { ManagedDataSource } from '../engine/managed-data-source.js';
import { ManagedDataSources } from '../engine/managed-data-sources.js';
import { RefreshService } from '../engine/refresh.service.js';
import { SchemaService } from '../engine/schema.service.js';
import type { CliSettings } from './cli-options.js';
import { DataSourceFileError } from './command-line.errors.js';

export interface ProjectOptions {
  /**
   * Connections for refreshes. @default from `package.json#matviews`, otherwise the library's
   * default
   */
  poolSize?: number;
}

/** A data source with its views, without an application around it. */
export class Project {
  private constructor(
    readonly source: ManagedDataSource,
    readonly sources: ManagedDataSources,
    readonly refreshes: RefreshService,
    readonly schemas: SchemaService,
    /** The library's events, by `MaterializedViewEvents`. */
    readonly events: EventEmitter,
  ) {}

  /** Nothing is changed in the database. */
  static async open(
    typeOrm: DataSource,
    settings: CliSettings['module'],
    log: Log,
  ): Promise<Project> {
    // After an interrupt, it doesn't wait for running work.
    const options = resolveOptions({ ...settings, scheduling: false, shutdownTimeout: 0 });
    await connect(typeOrm);
    const events = new EventEmitter();
    const sources = new ManagedDataSources(log);
    try {
      const source = await ManagedDataSource.open({
        name: DEFAULT_DATA_SOURCE,
        typeOrm,
        options,
        log,
        events: { publish: (name, payload) => void events.emit(name, payload) },
        startJob: () => ({ isOn: false, stop: () => undefined }),
      });
      sources.add(source);
      sources.complete();
      await refuseForeignState(source);
      const services = [new RefreshService(sources), new SchemaService(sources)] as const;
      return new Project(source, sources, ...services, events);
    } catch (error) {
      await typeOrm.destroy();
      throw error;
    }
  }

  /** Cancels running work in the database. */
  async close(): Promise<void> {
    await this.source.stop();
    await this.source.typeOrm.destroy();
  }
}

async function refuseForeignState(source: ManagedDataSource): Promise<void> {
  try {
    await source.schema.refuseForeignState();
  } catch (error) {
    await source.stop();
    throw error;
  }
}

/** Without TypeORM's own synchronization and migrations, and without its log on stdout. */
async function connect(dataSource: DataSource): Promise<void> {
  if (dataSource.options.type !== 'postgres') {
    throw new DataSourceFileError(
      `Expected a data source for PostgreSQL, got one for ${dataSource.options.type}.`,
    );
  }
  if (!dataSource.isInitialized) {
    dataSource.setOptions({
      synchronize: false,
      migrationsRun: false,
      dropSchema: false,
      // An empty list, because TypeORM ignores `false`.
      logging: [],
    });
    await dataSource.initialize();
  }
}
