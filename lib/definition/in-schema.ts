import type { DataSource, EntityManager, ObjectLiteral, Repository } from 'typeorm';
import { dataSourceIn } from './data-source-in-schema.js';
import { aViewSchema } from './definition-validation.js';
import { checkOptions, objectOf } from './option-rules.js';

/** A repository that works for every schema has this method, like those for tests. */
export const IN_SCHEMA = Symbol.for('nestjs-materialized-views:in-schema');

/** How many schemas of a data source are cached. Preparing one takes a fraction of a millisecond. */
const REMEMBERED_COUNT = 1_000;

const remembered = new WeakMap<DataSource, Map<string, DataSource>>();

const rules = objectOf<{ schema: string }>({ schema: aViewSchema }, ['schema']);

/**
 * Returns the same repository for another schema: it reads the view or table with that name there. Entities that
 * declare a schema stay where they are. In a transaction, it stays in that transaction.
 *
 * @param repository of any entity
 * @param schema the name of the schema, not quoted. Whether the schema has the view is not checked
 * @throws InvalidOptionsError if it can't be the name of a schema
 * @example
 * ```ts
 * const rows = await inSchema(this.revenue, 'tenant_a').find({ order: { day: 'ASC' } });
 * ```
 */
export function inSchema<Entity extends ObjectLiteral>(
  repository: Repository<Entity>,
  schema: string,
): Repository<Entity> {
  checkOptions('inSchema', rules, { schema });
  const own = (repository as { [IN_SCHEMA]?: (name: string) => Repository<Entity> })[IN_SCHEMA];
  if (own !== undefined) {
    return own.call(repository, schema);
  }
  const { manager } = repository;
  return dataSourceFor(dataSourceOf(manager), schema)
    .createEntityManager(manager.queryRunner)
    .withRepository(repository);
}

/** TypeORM 0.3 has it under another name. */
function dataSourceOf(manager: EntityManager): DataSource {
  const { dataSource, connection } = manager as { dataSource?: DataSource; connection: DataSource };
  return dataSource ?? connection;
}

function dataSourceFor(base: DataSource, schema: string): DataSource {
  const known = remembered.get(base) ?? new Map<string, DataSource>();
  remembered.set(base, known);
  const scoped = known.get(schema) ?? dataSourceIn(base, schema);
  // The most recently used one comes last.
  known.delete(schema);
  known.set(schema, scoped);
  const [oldest] = known.keys();
  if (known.size > REMEMBERED_COUNT && oldest !== undefined) {
    known.delete(oldest);
  }
  return scoped;
}
