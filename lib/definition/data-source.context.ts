import type { DataSource } from 'typeorm';
import type { LockWatch } from './lock.watch.js';
import type { ResolvedOptions } from './module.options.js';
import type { Database } from '../postgres/database.js';
import type { ViewDefinition } from './view-definition.js';
import type { ViewRegistry } from './view.registry.js';

/** Where the library's log lines go. Nest's `Logger` is one. */
export interface Log {
  error(message: string): void;
  warn(message: string): void;
  log(message: string): void;
  debug(message: string): void;
}

/** Where the library's events go. */
export interface EventSink {
  /** Never throws, and doesn't wait for listeners. */
  publish(name: string, payload: object): void;
}

/** One data source with materialized views: what every room needs to work on it. */
export interface DataSourceContext {
  /** Its name in TypeORM and Nest; `default` if it has none. */
  readonly name: string;
  /** The application's own, with its pool. */
  readonly typeOrm: DataSource;
  readonly options: ResolvedOptions;
  /** The name that tells this application's views from those of others; `''` if it has none. */
  readonly application: string;
  /** The library's own access. */
  readonly database: Database;
  readonly views: ViewRegistry;
  /** The views that the same application declares in its other data sources. */
  viewsElsewhere(): readonly ViewDefinition[];
  readonly log: Log;
  readonly events: EventSink;
  /** For work that can't get a lock of the library. */
  readonly locks: LockWatch;
}
