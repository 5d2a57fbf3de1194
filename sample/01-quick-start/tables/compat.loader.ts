import compatData from '@mdn/browser-compat-data/forLegacyNode';
import { DataSource, type EntityManager, type EntityTarget, type ObjectLiteral } from 'typeorm';
import type { LoadProgress } from '../demo/load-progress.js';
import { Browser } from './browser.entity.js';
import { compatRows } from './compat-rows.js';
import { Feature } from './feature.entity.js';
import { Release } from './release.entity.js';
import { SCHEMA } from './schema.constants.js';
import { SupportStatement } from './support-statement.entity.js';

const CHUNK_SIZE = 10_000;

export interface LoadedTable {
  name: string;
  rowCount: number;
}

export interface LoadResult {
  /** The version of @mdn/browser-compat-data. */
  version: string;
  tables: LoadedTable[];
  /** `false` if the tables were full already. */
  wasLoaded: boolean;
}

/**
 * Creates the tables, and fills them in one transaction. Runs before the application boots, so that the views are created on
 * full tables.
 */
export async function loadCompatData(url: string, progress: LoadProgress): Promise<LoadResult> {
  const dataSource = new DataSource({
    type: 'postgres',
    url,
    entities: [Browser, Release, Feature, SupportStatement],
  });
  await dataSource.initialize();
  try {
    await dataSource.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
    await dataSource.synchronize();
    const rows = compatRows(compatData);
    // Ordered: tables reference earlier ones.
    const tables: TableRows[] = [
      { entity: Browser, rows: rows.browsers },
      { entity: Release, rows: rows.releases },
      { entity: Feature, rows: rows.features },
      { entity: SupportStatement, rows: rows.supportStatements },
    ];
    const wasLoaded = !(await areFull(dataSource.manager, tables));
    if (wasLoaded) {
      await fill(dataSource, tables, progress);
    }
    return {
      version: rows.version,
      tables: await Promise.all(tables.map(({ entity }) => describe(dataSource, entity))),
      wasLoaded,
    };
  } finally {
    await dataSource.destroy();
  }
}

interface TableRows {
  entity: EntityTarget<ObjectLiteral>;
  rows: ObjectLiteral[];
}

async function areFull(manager: EntityManager, tables: TableRows[]): Promise<boolean> {
  const counts = await Promise.all(tables.map(({ entity }) => manager.count(entity)));
  return tables.every(({ rows }, index) => counts[index] === rows.length);
}

async function fill(
  dataSource: DataSource,
  tables: TableRows[],
  progress: LoadProgress,
): Promise<void> {
  const paths = tables.map(({ entity }) => dataSource.getMetadata(entity).tablePath);
  progress.start(tables.reduce((sum, { rows }) => sum + rows.length, 0));
  try {
    await dataSource.transaction(async (manager) => {
      await manager.query(`TRUNCATE ${paths.join(', ')}`);
      for (const { entity, rows } of tables) {
        progress.step(dataSource.getMetadata(entity).tableName, rows.length);
        for (let start = 0; start < rows.length; start += CHUNK_SIZE) {
          const chunk = rows.slice(start, start + CHUNK_SIZE);
          await insert(manager, entity, chunk);
          progress.advance(chunk.length);
        }
      }
    });
    await dataSource.query(`ANALYZE ${paths.join(', ')}`);
  } finally {
    progress.stop();
  }
}

/** One statement with one parameter for all rows: much faster than a parameter for each value. */
async function insert(
  manager: EntityManager,
  entity: EntityTarget<ObjectLiteral>,
  rows: ObjectLiteral[],
): Promise<void> {
  const { tablePath, columns } = manager.connection.getMetadata(entity);
  const records = rows.map((row) =>
    Object.fromEntries(columns.map((each) => [each.databaseName, each.getEntityValue(row)])),
  );
  await manager.query(
    `INSERT INTO ${tablePath} SELECT * FROM json_populate_recordset(NULL::${tablePath}, $1)`,
    [JSON.stringify(records)],
  );
}

async function describe(
  dataSource: DataSource,
  entity: EntityTarget<ObjectLiteral>,
): Promise<LoadedTable> {
  const { tableName } = dataSource.getMetadata(entity);
  return { name: tableName, rowCount: await dataSource.manager.count(entity) };
}
