import type { DataSource, EntityMetadata } from 'typeorm';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { identifierProblem, type QualifiedName } from '../postgres/identifier.js';
import { CronGrid } from './cron-grid.js';
import { indexesOf } from './declared-indexes.js';
import { groupedBy } from './grouped-by.js';
import {
  decoratorOf,
  getCronMetadata,
  getViewKind,
  getViewOptions,
  type ViewOptions,
} from './definition-metadata.accessor.js';
import { refreshPolicy } from './refresh-policy.js';
import type { ViewClass } from './view-class.js';
import type { ViewDefinition, ViewSchedule } from './view-definition.js';
import { splitName } from './qualified-name.js';
import { withLiveView } from './live-view.js';
import { refuseIndexes, viewParameters } from './plain-view.js';
import { resolveFreshness } from './view-freshness.js';
import { resolveViewQuery } from './view-query.js';
import { viewClasses } from './view-classes.js';
import { schemasOnce } from './view-schemas.js';
import { siteAmongMany, siteOf, type ViewSite } from './view-site.js';
import { SpreadGrid } from './spread-grid.js';

export interface ExploredDataSource {
  dataSource: DataSource;
  /** Where PostgreSQL creates what has no schema. */
  currentSchema: string | null;
  /** The classes registered with the library, besides those that are only entities. */
  registered: readonly ViewClass[];
}

/** The previous definitions, when the schemas of classes are read again. */
export interface DeclaredBefore {
  views: readonly ViewDefinition[];
  /** The only class to read again. Default: all that have a function. */
  only?: ViewClass;
}

/**
 * Finds the decorated classes among a data source's entities and resolves what they declare. Earlier definitions are not
 * resolved again: only `schemas` functions may return others.
 *
 * @throws InvalidDefinitionError if a definition is wrong, or a `schemas` function fails
 */
export async function exploreViews(
  explored: ExploredDataSource,
  before?: DeclaredBefore,
): Promise<ViewDefinition[]> {
  const { dataSource, registered } = explored;
  const ask = schemasOnce(dataSource);
  const known = groupedBy(before?.views ?? [], ({ target }) => target);
  const views = viewClasses(dataSource, registered).map(async (metadata) => {
    const target = metadata.target as ViewClass;
    const own = known.get(target) ?? [];
    const { schemas } = getViewOptions(target) as ViewOptions;
    const isAsked = typeof schemas === 'function' && target === (before?.only ?? target);
    return before === undefined || isAsked
      ? viewsOf(metadata, { explored, own, schemas: await ask(decoratorOf(target), schemas) })
      : own;
  });
  return (await Promise.all(views)).flat();
}

/** One view, or one in each of its schemas. */
function viewsOf(
  metadata: EntityMetadata,
  {
    explored,
    own,
    schemas,
  }: { explored: ExploredDataSource; own: ViewDefinition[]; schemas: string[] | undefined },
): ViewDefinition[] {
  const options = getViewOptions(metadata.target as ViewClass) as ViewOptions;
  const shared = sharedParts(metadata, options);
  const schedule = scheduleOf(shared.target);
  const whole = (placed: PlacedParts): ViewDefinition[] =>
    withLiveView({ ...shared, ...placed }, options);
  if (schemas === undefined) {
    return whole({ ...placedParts(metadata, options, siteIn(metadata, explored)), schedule });
  }
  const known = groupedBy(own, ({ name }) => name.schema);
  return schemas.flatMap(
    (schema) =>
      known.get(schema) ??
      whole({
        ...placedParts(
          metadata,
          options,
          siteAmongMany(explored.dataSource, schema, explored.currentSchema),
        ),
        schedule: spread(schedule, schema),
      }),
  );
}

/** What the views of one class have in common. */
type SharedParts = Omit<ViewDefinition, keyof PlacedParts>;

/** What depends on the schema. */
type PlacedParts = Pick<
  ViewDefinition,
  'name' | 'query' | 'dependsOn' | 'renamedFrom' | 'schedule' | 'freshness'
>;

function sharedParts(metadata: EntityMetadata, options: ViewOptions): SharedParts {
  const target = metadata.target as ViewClass;
  const kind = getViewKind(target);
  const indexes = indexesOf(metadata, options.indexes);
  refuseIndexes(target, indexes);
  refuseLongName(target, 'name', metadata.tableName);
  indexes.forEach((index) => refuseLongName(target, 'the name of an index', index.name));
  return {
    target,
    kind,
    columns: metadata.columns
      .filter(({ isVirtualProperty }) => !isVirtualProperty)
      .map(({ databaseName: name, propertyPath: property }) => ({ name, property })),
    indexes,
    withData: options.withData ?? true,
    storage: kind.storesRows ? options.storage : viewParameters(options),
    tablespace: options.tablespace,
    accessMethod: options.accessMethod,
    comment: options.comment,
    version: options.version,
    refresh: refreshPolicy(options.refresh),
  };
}

function siteIn(
  metadata: EntityMetadata,
  { dataSource, currentSchema }: ExploredDataSource,
): ViewSite {
  const schema = metadata.schema ?? currentSchema;
  if (schema === null) {
    throw new InvalidDefinitionError(
      `${decoratorOf(metadata.target as ViewClass)}: expected \`schema\` to be set, got undefined, and the connection has no current schema either.`,
    );
  }
  return siteOf(dataSource, schema, currentSchema);
}

function placedParts(
  metadata: EntityMetadata,
  { expression, dependsOn = [], renamedFrom, refresh }: ViewOptions,
  site: ViewSite,
): Omit<PlacedParts, 'schedule'> {
  const subject = decoratorOf(metadata.target as ViewClass);
  const { schema } = site;
  return {
    name: { schema, name: metadata.tableName },
    query: resolveViewQuery(subject, expression, site),
    dependsOn: dependsOn.map((each) => dependency(each, site)),
    renamedFrom: renamedFrom === undefined ? undefined : splitName(renamedFrom, schema),
    freshness: resolveFreshness(subject, refresh, site),
  };
}

/** For names from the naming strategy or `@Index`. Those in our options are checked earlier. */
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
  { schema, schemaOf, dataSource }: ViewSite,
): QualifiedName {
  if (typeof view === 'string') {
    return splitName(view, schema);
  }
  const metadata = dataSource.getMetadata(view);
  return { schema: schemaOf(metadata), name: metadata.tableName };
}

function scheduleOf(target: ViewClass): ViewSchedule | undefined {
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

/** A pg_cron job fires when its expression says. */
function spread(schedule: ViewSchedule | undefined, schema: string): ViewSchedule | undefined {
  return schedule?.scheduler === 'application'
    ? { ...schedule, grid: new SpreadGrid(schedule.grid, schema) }
    : schedule;
}
