import type { QualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

export interface RelationRow {
  schema_name: string;
  view_name: string;
  /** pg_class.relkind: https://www.postgresql.org/docs/current/catalog-pg-class.html */
  relation_kind: string;
  /** The extension that it belongs to. */
  extension: string | null;
  /** The relation whose index it is, as `schema.name`. */
  index_of: string | null;
}

/**
 * The relations of any kind that have one of the given names, and the types: a view's row type can't share their
 * names. Array types are left out, because PostgreSQL renames an array type if its name is needed.
 */
export function selectRelations(names: QualifiedName[]): SqlStatement {
  return {
    text: `SELECT n.nspname AS schema_name,
       c.relname AS view_name,
       c.relkind::text AS relation_kind,
       (
         SELECT x.extname
         FROM pg_catalog.pg_depend e
         JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
         WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND e.objid = c.oid
           AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND e.deptype = 'e'
       ) AS extension,
       (
         SELECT tn.nspname || '.' || t.relname
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
         JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
         WHERE i.indexrelid = c.oid
       ) AS index_of
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.view_name
UNION ALL
SELECT n.nspname, y.typname, 'type', NULL, NULL
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS wanted(schema_name, view_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema_name
JOIN pg_catalog.pg_type y ON y.typnamespace = n.oid AND y.typname = wanted.view_name
WHERE y.typrelid = 0::oid AND y.typcategory <> 'A'`,
    values: [names.map((name) => name.schema), names.map((name) => name.name)],
  };
}

export interface SchemaRow {
  schema_name: string;
}

/** Which of the given schemas exist. */
export function selectSchemas(schemas: string[]): SqlStatement {
  return {
    text: `SELECT n.nspname AS schema_name
FROM pg_catalog.pg_namespace n
WHERE n.nspname = ANY ($1::text[])`,
    values: [schemas],
  };
}
