import type { SqlStatement } from './sql-statement.js';

export interface TableReaderRow {
  schema_name: string;
  view_name: string;
}

/**
 * The views that read a relation directly.
 *
 * @param schema `undefined` for the first schema of the search_path that has it
 */
export function selectTableReaders(schema: string | undefined, table: string): SqlStatement {
  return {
    text: `SELECT DISTINCT n.nspname AS schema_name, v.relname AS view_name
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND d.refobjid <> r.ev_class
  AND d.refobjid = pg_catalog.to_regclass(
    coalesce(pg_catalog.quote_ident($1::text) || '.', '') || pg_catalog.quote_ident($2::text)
  )`,
    values: [schema ?? null, table],
  };
}
