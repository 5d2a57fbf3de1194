import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DataSource, type MigrationInterface } from 'typeorm';
import type { MigrationFile } from '../../lib/index.js';
import type { TestDatabase } from './test-database.js';

/** Calls `work` with a data source that has this migration. */
export async function runMigrations(
  database: TestDatabase,
  file: MigrationFile | undefined,
  work: (dataSource: DataSource) => Promise<unknown>,
): Promise<void> {
  const dataSource = new DataSource({
    type: 'postgres',
    url: database.url,
    migrations: [await loadMigration(file)],
  });
  await dataSource.initialize();
  try {
    await work(dataSource);
  } finally {
    await dataSource.destroy();
  }
}

/** Loads the class of a migration from a temporary file. */
export async function loadMigration(
  file: MigrationFile | undefined,
): Promise<new () => MigrationInterface> {
  if (file === undefined) {
    throw new Error('There is no migration');
  }
  const directory = mkdtempSync(path.resolve('test/readme-migrations-'));
  try {
    const target = path.join(directory, file.fileName);
    writeFileSync(target, file.source);
    const loaded = (await import(target)) as Record<string, new () => MigrationInterface>;
    const [migration] = Object.values(loaded).filter((each) => typeof each === 'function');
    if (migration === undefined) {
      throw new Error(`No class in ${file.source}`);
    }
    return migration;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
