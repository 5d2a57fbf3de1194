import { escapeLiteral } from 'pg';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * The columns of the library's own tables that PostgreSQL computes. It keeps the operators and functions that an
 * expression has found when the table was made. Where that was under a search_path with a schema in which others may
 * create, these may be somebody else's, and run with the rights of whoever writes a row.
 */

const CLOCK = 'DEFAULT pg_catalog.clock_timestamp()';

/** Milliseconds between the beginning and the end of a run. */
const DURATION =
  'GENERATED ALWAYS AS (extract(epoch FROM finished_at OPERATOR(pg_catalog.-) started_at) OPERATOR(pg_catalog.*) 1000) STORED';

/** What computes each of these columns. */
export const COMPUTED = {
  installed_at: CLOCK,
  known_since: CLOCK,
  duration_ms: DURATION,
  xid: 'DEFAULT pg_catalog.pg_current_xact_id()',
  changed_at: CLOCK,
};

const TABLES: [table: string, column: keyof typeof COMPUTED][] = [
  ['installation', 'installed_at'],
  ['view_state', 'known_since'],
  ['refresh_history', 'duration_ms'],
  ['change_log', 'xid'],
  ['change_log', 'changed_at'],
];

/** The computed columns, with the names of their tables. */
const NAMES = TABLES.map((names) => `(${names.map((name) => `'${name}'`).join(', ')})`).join(', ');

/**
 * The columns, as `c` and `a`, whose expressions use something that did not come with PostgreSQL: only such things have
 * rows in pg_depend. Up to PostgreSQL 14 it is the column that depends on what its expression uses.
 */
export function foreignColumns(stateSchema: string): string {
  return `pg_catalog.pg_namespace n
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
  JOIN pg_catalog.pg_attrdef f ON f.adrelid = c.oid AND f.adnum = a.attnum
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = f.oid
    OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.objsubid = a.attnum
       AND d.refobjid <> ALL (ARRAY[a.atttypid, a.attcollation])
  WHERE n.nspname = ${stateSchema}
    AND (c.relname, a.attname) IN (${NAMES})
    AND d.refclassid = ANY (ARRAY['pg_operator', 'pg_proc', 'pg_type', 'pg_collation']::pg_catalog.regclass[])`;
}

/**
 * Has the columns computed by PostgreSQL's own operators and functions, where they are not: a table is locked, and
 * rewritten, only then. Its rows get their values from the new expression, so that nothing stays of the old one.
 */
export function mendComputedColumns(stateSchema: string): SqlStatement {
  const schema = quoteIdentifier(stateSchema);
  const branches = TABLES.map(
    ([table, column]) => `      WHEN '${table}.${column}' THEN
        ALTER TABLE ${schema}.${table} ${mend(column)};`,
  );
  const body = `
DECLARE
  found text;
BEGIN
  FOR found IN
    SELECT DISTINCT pg_catalog.concat_ws('.', c.relname, a.attname) FROM ${foreignColumns(escapeLiteral(stateSchema))}
  LOOP
    CASE found
${branches.join('\n')}
    END CASE;
  END LOOP;
END
`;
  return { text: `DO ${escapeLiteral(body)}` };
}

function mend(column: keyof typeof COMPUTED): string {
  return column === 'duration_ms'
    ? `DROP COLUMN ${column}, ADD COLUMN ${column} float8 ${DURATION}`
    : `ALTER COLUMN ${column} SET ${COMPUTED[column]}`;
}
