import {
  type DataSource,
  EntityManager,
  type EntityMetadata,
  getMetadataArgsStorage,
} from 'typeorm';
import { EntityMetadataBuilder } from 'typeorm/metadata-builder/EntityMetadataBuilder.js';
import { InvalidDefinitionError } from '../errors/usage.errors.js';

/**
 * A data source in which entities without a schema are in the given schema. It shares everything else with the original: the
 * pool, the subscribers, the log. TypeORM's own builder creates an entity's metadata on first use, together with everything
 * that it has relations to.
 */
export function dataSourceIn(base: DataSource, schema: string): DataSource {
  const built = new Map<unknown, EntityMetadata>();
  const scoped = Object.create(base) as DataSource;
  const findMetadata = (target: Parameters<DataSource['getMetadata']>[0]) => {
    const known = base.hasMetadata(target) ? base.getMetadata(target) : undefined;
    if (known !== undefined && !built.has(known.target)) {
      build(known, scoped).forEach((metadata) => built.set(metadata.target, metadata));
    }
    return known && built.get(known.target);
  };
  const own = {
    options: { ...base.options, schema },
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
