import type { SqlStatement } from './sql-statement.js';

export interface RelationOidRow {
  /** `null` if there is none. */
  oid: string | null;
}

export interface TableReaderRow {
  schema_name: string;
  view_name: string;
}

/** The relation with that name; without a schema, the application's search_path finds it. */
export function selectRelation(quotedName: string): SqlStatement {
  return {
    text: `SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid::pg_catalog.text AS oid`,
    values: [quotedName],
    hasApplicationText: true,
  };
}

/** The views that read a relation directly, or name its row type. */
export function selectTableReaders(oid: string | null): SqlStatement {
  return {
    text: `WITH subject AS (
  SELECT c.oid, ty.oid AS type_oid, ty.typarray
  FROM pg_catalog.pg_class c
  LEFT JOIN pg_catalog.pg_type ty ON ty.typrelid = c.oid
  WHERE c.oid = $1::oid
)
SELECT DISTINCT n.nspname AS schema_name, v.relname AS view_name
FROM subject
JOIN pg_catalog.pg_depend d
  ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = subject.oid
  OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
    AND d.refobjid IN (subject.type_oid, subject.typarray)
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND r.ev_class <> subject.oid`,
    values: [oid],
  };
}
