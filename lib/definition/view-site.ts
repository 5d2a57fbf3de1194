import { randomBytes } from 'node:crypto';
import type { DataSource, EntityMetadata } from 'typeorm';
import { quoteIdentifier, quoteQualifiedName } from '../postgres/identifier.js';
import { dataSourceIn } from './data-source-in-schema.js';
import type { ViewPlace } from './materialized-view-entity.options.js';

/** Where a view is made, and where what its class names is found. */
export interface ViewSite {
  /** The schema of the view. */
  schema: string;
  /** Where PostgreSQL finds what is named without a schema. */
  defaultSchema: string;
  /** The schema of an entity that the class names. */
  schemaOf: (entity: EntityMetadata) => string;
  /** The application's. */
  dataSource: DataSource;
  /** What the function of an `expression` gets: it may stand for the other one in a schema. */
  queryDataSource: DataSource;
  /** The SQL of a query builder, for this schema. */
  located: (sql: string) => string;
}

/** The one place of an ordinary view. */
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

/** A place among many: what has no schema of its own is in the same one. */
export function siteAmongMany(dataSource: DataSource, schema: string): ViewSite {
  const stand = standInOf(dataSource);
  return {
    schema,
    defaultSchema: schema,
    schemaOf: (entity) => entity.tableMetadataArgs.schema ?? schema,
    dataSource,
    queryDataSource: stand.dataSource,
    located: (sql) => sql.replaceAll(stand.pattern, () => quoteIdentifier(schema)),
  };
}

/** What the function of an `expression` gets to name its tables. */
export function placeOf({ schema }: ViewSite): ViewPlace {
  return { schema, table: (name) => quoteQualifiedName({ schema, name }) };
}

interface StandIn {
  dataSource: DataSource;
  pattern: RegExp;
}

const standIns = new WeakMap<DataSource, StandIn>();

/**
 * The data source in a schema that there is not. Its name is put into SQL and taken out again, so that entities have their
 * metadata built once and not for each of hundreds of schemas, and no name of a schema is quoted by TypeORM.
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
