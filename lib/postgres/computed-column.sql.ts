import { escapeLiteral } from 'pg';
import { quoteIdentifier } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * The columns of the library's own tables that PostgreSQL computes. An expression keeps the operators and functions
 * that it resolved to when the table was created. If others could create objects in a schema of the search_path
 * then, these may be theirs, and they run with the rights of whoever writes a row.
 */

const CLOCK = 'DEFAULT pg_catalog.clock_timestamp()';

/** Milliseconds between the start and the end of a run. */
const DURATION =
  'GENERATED ALWAYS AS (extract(epoch FROM finished_at OPERATOR(pg_catalog.-) started_at) OPERATOR(pg_catalog.*) 1000) STORED';

/** The expression of each of these columns. */
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
 * The columns, as `c` and `a`, whose expressions use something that isn't part of PostgreSQL: only that has rows in
 * pg_depend. Up to PostgreSQL 14, the column itself depends on what its expression uses.
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
 * Makes PostgreSQL's own operators and functions compute the columns. Only a table that needs it is locked and
 * rewritten. Its rows get new values, so nothing of the old expression remains.
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
