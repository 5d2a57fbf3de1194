import type { DataSource, EntityManager, ObjectLiteral, Repository } from 'typeorm';
import { dataSourceIn } from './data-source-in-schema.js';
import { aViewSchema } from './definition-validation.js';
import { checkOptions, objectOf } from './option-rules.js';
import { InvalidOptionsError } from '../errors/usage.errors.js';

/** A repository that stands for its table or view in every schema has this method, as those of tests have. */
export const IN_SCHEMA = Symbol.for('nestjs-materialized-views:in-schema');

/** So many schemas of a data source are remembered. It takes a fraction of a millisecond to prepare one. */
const REMEMBERED_COUNT = 1_000;

const remembered = new WeakMap<DataSource, Map<string, DataSource>>();

const rules = objectOf<{ schema: string }>({ schema: aViewSchema }, ['schema']);

/**
 * The same repository for another schema: it reads the view, or the table, that has the name there. Entities with a
 * schema of their own stay where they are. In a transaction it stays in that transaction.
 *
 * @param repository of any entity
 * @param schema the name of the schema, not quoted. It is not asked whether it has the view
 * @throws InvalidOptionsError when it cannot be the name of a schema
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

/** TypeORM 0.3 has it by another name. */
function dataSourceOf(manager: EntityManager): DataSource {
  const { dataSource, connection } = manager as { dataSource?: DataSource; connection: DataSource };
  return dataSource ?? connection;
}

function dataSourceFor(base: DataSource, schema: string): DataSource {
  refuseUnquoted(base, schema);
  const known = remembered.get(base) ?? new Map<string, DataSource>();
  remembered.set(base, known);
  const scoped = known.get(schema) ?? dataSourceIn(base, schema);
  // The one that was used last comes last.
  known.delete(schema);
  known.set(schema, scoped);
  const [oldest] = known.keys();
  if (known.size > REMEMBERED_COUNT && oldest !== undefined) {
    known.delete(oldest);
  }
  return scoped;
}

/** TypeORM 0.3 writes a double quote in a name as it is, and what follows it as SQL. */
function refuseUnquoted({ driver }: DataSource, schema: string): void {
  if (schema.includes('"') && driver.escape('"') !== '""""') {
    throw new InvalidOptionsError(
      `inSchema: expected \`schema\` to be a name without a double quote, which this version of TypeORM does not quote, got ${JSON.stringify(schema)}.`,
    );
  }
}
