import { Injectable } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import { meantName } from '../errors/near-names.js';
import { NotInitializedError, UnknownViewError } from '../errors/usage.errors.js';
import type { Database } from '../postgres/database.js';

interface OpenDataSource {
  database: Database;
  /** The application's own, with its pool. */
  typeOrm: DataSource;
}

/** The library's own access to each data source that has views, by the data source's name. */
@Injectable()
export class DataSourceRegistry {
  private readonly dataSources = new Map<string, OpenDataSource>();

  add(name: string, database: Database, typeOrm: DataSource): void {
    this.dataSources.set(name, { database, typeOrm });
  }

  /** @throws UnknownViewError when the library was not set up for it */
  typeOrm(name: string): DataSource {
    return this.find(name).typeOrm;
  }

  /** @throws UnknownViewError when the library was not set up for it */
  get(name: string): Database {
    return this.find(name).database;
  }

  /**
   * @throws UnknownViewError when the library was not set up for a data source of that name
   * @throws NotInitializedError before the application is initialized
   */
  require(name: string): void {
    this.find(name);
  }

  all(): Database[] {
    return [...this.dataSources.values()].map(({ database }) => database);
  }

  private find(name: string): OpenDataSource {
    const names = [...this.dataSources.keys()];
    if (names.length === 0) {
      throw notInitialized();
    }
    const found = this.dataSources.get(name);
    if (found === undefined) {
      throw unknownDataSource(name, names);
    }
    return found;
  }
}

/** The error for a data source without views. */
export function unknownDataSource(name: string, known: readonly string[]): UnknownViewError {
  const meant = meantName(name, known);
  const list = known.map((each) => `"${each}"`).join(', ');
  return new UnknownViewError(
    `No materialized view is registered in data source "${name}". Data sources with views: ${list || 'none'}.`,
    { hint: meant === undefined ? undefined : `Did you mean "${meant}"?` },
  );
}

/** The error for a call that comes too early. */
export function notInitialized(): NotInitializedError {
  return new NotInitializedError(
    'The materialized views of the application are not registered yet: MaterializedViewsModule does that in its onModuleInit.',
    {
      hint: 'Call its services from onApplicationBootstrap on; in a test or a script, after `await app.init()`.',
    },
  );
}
