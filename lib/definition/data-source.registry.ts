import { Injectable } from '@nestjs/common';
import type { DataSource } from 'typeorm';
import type { Database } from '../postgres/database.js';

/** The library's own access to each data source that has views, by the data source's name. */
@Injectable()
export class DataSourceRegistry {
  private readonly databases = new Map<string, Database>();
  private readonly dataSources = new Map<string, DataSource>();

  add(name: string, database: Database, dataSource: DataSource): void {
    this.databases.set(name, database);
    this.dataSources.set(name, dataSource);
  }

  /** The application's own, with its pool. */
  typeOrm(name: string): DataSource {
    const dataSource = this.dataSources.get(name);
    if (dataSource === undefined) {
      throw new Error(`Data source "${name}" has not been opened`);
    }
    return dataSource;
  }

  get(name: string): Database {
    const database = this.databases.get(name);
    if (database === undefined) {
      throw new Error(`Data source "${name}" has not been opened`);
    }
    return database;
  }

  all(): Database[] {
    return [...this.databases.values()];
  }
}
