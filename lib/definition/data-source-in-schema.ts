import {
  type DataSource,
  EntityManager,
  type EntityMetadata,
  getMetadataArgsStorage,
} from 'typeorm';
import { EntityMetadataBuilder } from 'typeorm/metadata-builder/EntityMetadataBuilder.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';
import { quoteIdentifier } from '../postgres/identifier.js';
import { getViewOptions } from './definition-metadata.accessor.js';

/**
 * A data source in which entities without a schema are in the given schema, except views that all schemas share. It
 * shares everything else with the original: the pool, the subscribers, the log. TypeORM's own builder creates an
 * entity's metadata on first use, together with everything that it has relations to.
 */
export function dataSourceIn(base: DataSource, schema: string): DataSource {
  const built = new Map<unknown, EntityMetadata>();
  const scoped = Object.create(base) as DataSource;
  const findMetadata = (target: Parameters<DataSource['getMetadata']>[0]) => {
    const known = base.hasMetadata(target) ? base.getMetadata(target) : undefined;
    if (known !== undefined && !built.has(known.target)) {
      for (const metadata of build(known, scoped)) {
        built.set(metadata.target, isSharedView(metadata) ? placedAs(metadata, base) : metadata);
      }
    }
    return known && built.get(known.target);
  };
  const own = {
    options: { ...base.options, schema },
    driver: quotingDriver(base.driver),
    findMetadata,
    createEntityManager: (...[queryRunner]: Parameters<DataSource['createEntityManager']>) =>
      new EntityManager(scoped, queryRunner),
    manager: new EntityManager(scoped),
    relationLoader: ofItsOwn(base.relationLoader, scoped),
    relationIdLoader: ofItsOwn(base.relationIdLoader, scoped),
  };
  // Defined as properties, because TypeORM's types make them read-only.
  for (const [name, value] of Object.entries(own)) {
    Object.defineProperty(scoped, name, { value, writable: true });
  }
  return scoped;
}

/** Whether a class is one view, which all schemas share. */
export function isSharedView({ target }: Pick<EntityMetadata, 'target'>): boolean {
  const options = typeof target === 'function' ? getViewOptions(target) : undefined;
  return options !== undefined && options.schemas === undefined;
}

function placedAs(metadata: EntityMetadata, base: DataSource): EntityMetadata {
  const { schema, tablePath } = base.getMetadata(metadata.target);
  return Object.assign(metadata, { schema, tablePath });
}

/** TypeORM 0.3 doesn't double a double quote in a name, so what follows it would be SQL. */
function quotingDriver(driver: DataSource['driver']): DataSource['driver'] {
  return Object.create(driver, { escape: { value: quoteIdentifier } }) as DataSource['driver'];
}

/** TypeORM doesn't export these classes. */
function ofItsOwn<Loader extends object>(loader: Loader, dataSource: DataSource): Loader {
  return Reflect.construct(loader.constructor as new (of: DataSource) => Loader, [dataSource]);
}

function build(metadata: EntityMetadata, dataSource: DataSource): EntityMetadata[] {
  const related = [...relatedTo(metadata)].map(({ target }) => target);
  const classes = related.filter((target) => typeof target === 'function');
  const built = new EntityMetadataBuilder(dataSource, getMetadataArgsStorage()).build(classes);
  if (!built.some(({ target }) => target === metadata.target)) {
    throw new InvalidDefinitionError(
      `Entity "${metadata.name}" is declared by an EntitySchema, so it cannot be found in the schema "${String((dataSource.options as { schema?: string }).schema)}".`,
      { hint: 'Name its table in SQL: `expression` gets `place.table` for that.' },
    );
  }
  return built;
}

/** The entity itself, and everything that can be reached from it. */
function relatedTo(start: EntityMetadata): Set<EntityMetadata> {
  const found = new Set([start]);
  for (const each of found) {
    const { relations, childEntityMetadatas, parentEntityMetadata } = each;
    const next = [
      ...relations.map(({ inverseEntityMetadata }) => inverseEntityMetadata),
      ...childEntityMetadatas,
      // Its type says that it always exists.
      parentEntityMetadata as EntityMetadata | undefined,
    ];
    next.filter((one) => one !== undefined).forEach((one) => found.add(one));
  }
  return found;
}
