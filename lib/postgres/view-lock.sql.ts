import { escapeLiteral } from 'pg';
import type { QualifiedName } from './identifier.js';
import { isView } from './view-kind.js';
import type { SqlStatement } from './sql-statement.js';

/**
 * Locks views against their readers (ACCESS EXCLUSIVE), in the given order, and waits for all of them together no
 * longer than `totalMs` (55P03 after that). LOCK TABLE doesn't accept materialized views, so it sets each view's
 * schema to the schema that it is in, which changes nothing. A name that no view has is ignored.
 */
export function lockAgainstReaders(names: readonly QualifiedName[], totalMs: number): SqlStatement {
  const limitMs = Math.max(1, Math.trunc(totalMs)).toFixed(0);
  const wanted = names.map(
    ({ schema, name }, position) =>
      `(${escapeLiteral(schema)}::name, ${escapeLiteral(name)}::name, ${position})`,
  );
  const body = `
DECLARE
  started_at timestamptz := pg_catalog.clock_timestamp();
  waited_ms int;
  command text;
BEGIN
  FOR command IN
    SELECT pg_catalog.format(
             'ALTER %s %I.%I SET SCHEMA %I',
             CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END,
             n.nspname, c.relname, n.nspname
           )
    FROM (VALUES ${wanted.join(', ')}) AS wanted(schema_name, view_name, position)
    JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema_name
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.view_name
    WHERE ${isView('c.relkind')}
    ORDER BY wanted.position
  LOOP
    waited_ms := 1000::float8 * pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - started_at);
    PERFORM pg_catalog.set_config('lock_timeout', greatest(${limitMs} - waited_ms, 1)::text, true);
    EXECUTE command;
  END LOOP;
  PERFORM pg_catalog.set_config('lock_timeout', '${limitMs}', true);
END`;
  return { text: `DO ${escapeLiteral(body)}` };
}
