import { randomBytes } from 'node:crypto';
import type { DataSource, EntityMetadata } from 'typeorm';
import { quoteIdentifier, quoteQualifiedName } from '../postgres/identifier.js';
import { dataSourceIn, isSharedView } from './data-source-in-schema.js';
import type { ViewPlace } from './materialized-view-entity.options.js';

/** Where a view is created, and where the names in its class resolve. */
export interface ViewSite {
  /** The schema of the view. */
  schema: string;
  /** Where PostgreSQL finds names without a schema. */
  defaultSchema: string;
  /** The schema of an entity that the class names. */
  schemaOf: (entity: EntityMetadata) => string;
  /** The application's. */
  dataSource: DataSource;
  /** The data source that an `expression` function gets: for one of several schemas, a stand-in. */
  queryDataSource: DataSource;
  /** The SQL of a query builder, for this schema. */
  located: (sql: string) => string;
}

/** The only place of an ordinary view. */
export function siteOf(
  dataSource: DataSource,
  schema: string,
  currentSchema: string | null,
): ViewSite {
  const defaultSchema = currentSchema ?? schema;
  return {
    schema,
    defaultSchema,
    schemaOf: (entity) => entity.schema ?? defaultSchema,
    dataSource,
    queryDataSource: dataSource,
    located: (sql) => sql,
  };
}

/** One of several places: what declares no schema is in the same schema, except views that all share. */
export function siteAmongMany(
  dataSource: DataSource,
  schema: string,
  currentSchema: string | null,
): ViewSite {
  const stand = standInOf(dataSource);
  return {
    schema,
    defaultSchema: schema,
    schemaOf: (entity) =>
      entity.tableMetadataArgs.schema ??
      (isSharedView(entity) ? (entity.schema ?? currentSchema ?? schema) : schema),
    dataSource,
    queryDataSource: stand.dataSource,
    located: (sql) => sql.replaceAll(stand.pattern, () => quoteIdentifier(schema)),
  };
}

/** What an `expression` function gets to name its tables. */
export function placeOf({ schema }: ViewSite): ViewPlace {
  return { schema, table: (name) => quoteQualifiedName({ schema, name }) };
}

interface StandIn {
  dataSource: DataSource;
  pattern: RegExp;
}

const standIns = new WeakMap<DataSource, StandIn>();

/**
 * A data source in a schema that doesn't exist. Its name is put into the SQL and then replaced, so that metadata is built
 * once instead of for each of hundreds of schemas, and TypeORM never quotes a real schema's name.
 */
function standInOf(dataSource: DataSource): StandIn {
  const known = standIns.get(dataSource);
  if (known !== undefined) {
    return known;
  }
  const name = `schema_${randomBytes(16).toString('hex')}`;
  const standIn = {
    dataSource: dataSourceIn(dataSource, name),
    pattern: RegExp(`"?${name}"?`, 'g'),
  };
  standIns.set(dataSource, standIn);
  return standIn;
}
