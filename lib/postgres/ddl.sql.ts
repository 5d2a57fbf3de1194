import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import { escapeLiteral } from 'pg';
import type { SqlStatement } from './sql-statement.js';

/** Only if it is missing; a migration may run on a database that has it. */
export function createSchema(schema: string): SqlStatement {
  return { text: `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(schema)}` };
}

/** With its own statistics, the first read is as fast as later ones. */
export function analyze(view: QualifiedName): SqlStatement {
  return { text: `ANALYZE ${quoteQualifiedName(view)}`, hasApplicationText: true };
}

/** One key of an index: a column or an expression, with its options. */
export interface IndexKey {
  column?: string;
  expression?: string;
  collation?: string;
  operatorClass?: string;
  order?: 'ASC' | 'DESC';
  nulls?: 'FIRST' | 'LAST';
}

/**
 * An index with everything that CREATE INDEX accepts:
 * https://www.postgresql.org/docs/current/sql-createindex.html
 */
export interface IndexDefinition {
  name: string;
  keys: IndexKey[];
  unique: boolean;
  method?: string;
  include?: string[];
  where?: string;
  storage?: Record<string, string | number | boolean>;
  tablespace?: string;
}

export function createIndex(view: QualifiedName, index: IndexDefinition): SqlStatement {
  const clauses = [
    `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${quoteIdentifier(index.name)}`,
    `ON ${quoteQualifiedName(view)}`,
    index.method && `USING ${quoteIdentifier(index.method)}`,
    `(${index.keys.map(indexKey).join(', ')})`,
    index.include?.length && `INCLUDE (${index.include.map(quoteIdentifier).join(', ')})`,
    index.storage && `WITH (${storageParameters(index.storage)})`,
    index.tablespace && `TABLESPACE ${quoteIdentifier(index.tablespace)}`,
    index.where && `WHERE ${index.where}`,
  ];
  return { text: clauses.filter(Boolean).join('\n'), hasApplicationText: true };
}

function indexKey(key: IndexKey): string {
  const subject = key.column === undefined ? `(${key.expression})` : quoteIdentifier(key.column);
  return [
    subject,
    key.collation && `COLLATE ${quoteDotted(key.collation)}`,
    key.operatorClass && quoteDotted(key.operatorClass),
    key.order,
    key.nulls && `NULLS ${key.nulls}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** A collation or operator class may carry its schema, as in `public.gin_trgm_ops`. */
function quoteDotted(name: string): string {
  return name.split('.').map(quoteIdentifier).join('.');
}

function storageParameters(storage: Record<string, string | number | boolean>): string {
  return Object.entries(storage)
    .map(([name, value]) => `${quoteIdentifier(name)} = ${escapeLiteral(String(value))}`)
    .join(', ');
}

/** Without CASCADE, so only if it is empty. */
export function dropSchema(schema: string): SqlStatement {
  return { text: `DROP SCHEMA ${quoteIdentifier(schema)}` };
}
