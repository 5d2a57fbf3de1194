import type { DataSource, EntityMetadata } from 'typeorm';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import type { IndexDefinition, IndexKey } from '../postgres/ddl.sql.js';
import { identifierProblem, type QualifiedName } from '../postgres/identifier.js';
import { CronGrid } from './cron-grid.js';
import {
  decoratorOf,
  getCronMetadata,
  getViewKind,
  getViewOptions,
  type ViewOptions,
} from './definition-metadata.accessor.js';
import { refreshPolicy } from './refresh-policy.js';
import type { ViewClass } from './view-class.js';
import type { ViewIndexKey, ViewIndexOptions } from './materialized-view-entity.options.js';
import type { ViewDefinition, ViewSchedule } from './view-definition.js';
import { splitName } from './qualified-name.js';
import { withLiveView } from './live-view.js';
import { refuseIndexes, viewParameters } from './plain-view.js';
import { resolveFreshness } from './view-freshness.js';
import { resolveViewQuery } from './view-query.js';

export interface ExploredDataSource {
  dataSource: DataSource;
  /** Where PostgreSQL puts what has no schema. */
  currentSchema: string | null;
  /** The classes that were given to the library, beside those that are only entities. */
  registered: readonly ViewClass[];
}

/** Finds the decorated classes among a data source's entities and resolves what they declare. */
export function exploreViews(explored: ExploredDataSource): ViewDefinition[] {
  const decorated = explored.dataSource.entityMetadatas.filter(
    ({ target }) => typeof target === 'function' && getViewOptions(target) !== undefined,
  );
  return decorated
    .filter((metadata) => !isReplaced(metadata, decorated, explored.registered))
    .flatMap((metadata) => {
      const options = getViewOptions(metadata.target as ViewClass) as ViewOptions;
      return withLiveView(definition(metadata, options, explored), options);
    });
}

/**
 * Whether a class is one that hot reload has left behind: Nest's autoLoadEntities keeps every class that the process has
 * ever loaded. TypeORM has them in the order in which they were decorated.
 */
function isReplaced(
  metadata: EntityMetadata,
  all: readonly EntityMetadata[],
  registered: readonly ViewClass[],
): boolean {
  const isRegistered = ({ target }: EntityMetadata): boolean =>
    registered.includes(target as ViewClass);
  const newer = all.slice(all.indexOf(metadata) + 1);
  return (
    !isRegistered(metadata) &&
    newer.some(
      (each) =>
        each.tableName === metadata.tableName &&
        each.schema === metadata.schema &&
        (isRegistered(each) || each.targetName === metadata.targetName),
    )
  );
}

function definition(
  metadata: EntityMetadata,
  options: ViewOptions,
  { dataSource, currentSchema }: ExploredDataSource,
): ViewDefinition {
  const target = metadata.target as ViewClass;
  const kind = getViewKind(target);
  const subject = decoratorOf(target);
  const schema = metadata.schema ?? currentSchema;
  if (schema === null) {
    throw new InvalidDefinitionError(
      `${subject}: expected \`schema\` to be set, got undefined, and the connection has no current schema either.`,
    );
  }
  const indexes = [
    ...declaredIndexes(metadata),
    ...uniqueIndexes(metadata),
    ...(options.indexes ?? []).map((index) => indexFromOptions(metadata, index)),
  ];
  refuseIndexes(target, indexes);
  refuseLongName(target, 'name', metadata.tableName);
  indexes.forEach((index) => refuseLongName(target, 'the name of an index', index.name));
  return {
    target,
    kind,
    name: { schema, name: metadata.tableName },
    query: resolveViewQuery(subject, options.expression, dataSource),
    columns: metadata.columns
      .filter(({ isVirtualProperty }) => !isVirtualProperty)
      .map(({ databaseName: name, propertyPath: property }) => ({ name, property })),
    indexes,
    withData: options.withData ?? true,
    storage: kind.storesRows ? options.storage : viewParameters(options),
    tablespace: options.tablespace,
    accessMethod: options.accessMethod,
    comment: options.comment,
    dependsOn: (options.dependsOn ?? []).map((each) => dependency(each, schema, dataSource)),
    renamedFrom:
      options.renamedFrom === undefined ? undefined : splitName(options.renamedFrom, schema),
    version: options.version,
    refresh: refreshPolicy(options.refresh),
    schedule: schedule(target),
    freshness: resolveFreshness(subject, options.refresh, {
      schema: currentSchema ?? schema,
      dataSource,
    }),
  };
}

/** For names that the naming strategy or `@Index` made: those in our options are checked earlier. */
function refuseLongName(target: ViewClass, what: string, name: string): void {
  const problem = identifierProblem(name);
  if (problem !== undefined) {
    throw new InvalidDefinitionError(
      `${decoratorOf(target)}: expected ${what} to be a name that PostgreSQL doesn't truncate (${problem}), got "${name}".`,
    );
  }
}

function dependency(
  view: ViewClass | string,
  schema: string,
  dataSource: DataSource,
): QualifiedName {
  if (typeof view === 'string') {
    return splitName(view, schema);
  }
  const metadata = dataSource.getMetadata(view);
  return { schema: metadata.schema ?? schema, name: metadata.tableName };
}

function declaredIndexes(metadata: EntityMetadata): IndexDefinition[] {
  return metadata.indices
    .filter((index) => index.synchronize)
    .map((index) => ({
      name: index.name,
      keys: index.columns.map((column) => ({ column: column.databaseName })),
      unique: index.isUnique,
      method: index.isSpatial ? 'gist' : index.type,
      where: index.where,
    }));
}

/** `@Unique`: a view has no constraints, and a unique index does the same. Those of TypeORM's own relations have no columns given. */
function uniqueIndexes(metadata: EntityMetadata): IndexDefinition[] {
  const declared = metadata.uniques.filter(
    ({ givenColumnNames }) => givenColumnNames !== undefined,
  );
  return declared.map(({ name, columns, deferrable }) => {
    if (deferrable !== undefined) {
      throw new InvalidDefinitionError(
        `@Unique "${name}" of ${metadata.targetName}: expected \`deferrable\` to be absent, because a view has a unique index in the place of the constraint, got "${deferrable}".`,
      );
    }
    return {
      name,
      keys: columns.map((column) => ({ column: column.databaseName })),
      unique: true,
    };
  });
}

function indexFromOptions(metadata: EntityMetadata, index: ViewIndexOptions): IndexDefinition {
  const columnOf = (property: string): string => columnName(metadata, index.name, property);
  return {
    name: index.name,
    keys: index.keys.map((key) => indexKey(key, columnOf)),
    unique: index.unique ?? false,
    method: index.method,
    include: index.include?.map(columnOf),
    where: index.where,
    storage: index.storage,
    tablespace: index.tablespace,
  };
}

function indexKey(key: string | ViewIndexKey, columnOf: (property: string) => string): IndexKey {
  if (typeof key === 'string') {
    return { column: columnOf(key) };
  }
  const { property, ...rest } = key;
  return property === undefined ? rest : { ...rest, column: columnOf(property) };
}

function columnName(metadata: EntityMetadata, index: string, property: string): string {
  const column = metadata.findColumnWithPropertyPath(property);
  if (column === undefined) {
    const known = metadata.columns.map((each) => each.propertyPath).join(', ');
    throw new InvalidDefinitionError(
      `@MaterializedViewEntity of ${metadata.targetName}: expected the index "${index}" to name properties of the class (${known}), got "${property}".`,
    );
  }
  return column.databaseName;
}

function schedule(target: ViewClass): ViewSchedule | undefined {
  const cron = getCronMetadata(target);
  return (
    cron && {
      cron: cron.cronTime,
      timeZone: cron.timeZone,
      scheduler: getViewOptions(target)?.refresh?.scheduler ?? 'application',
      grid: CronGrid.of(cron.cronTime, cron.timeZone),
    }
  );
}
