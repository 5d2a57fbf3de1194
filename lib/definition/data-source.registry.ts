import { Injectable } from '@nestjs/common';
import type { Database } from '../postgres/database.js';

/** The library's own access to each data source that has views, by the data source's name. */
@Injectable()
export class DataSourceRegistry {
  private readonly databases = new Map<string, Database>();

  add(name: string, database: Database): void {
    this.databases.set(name, database);
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
