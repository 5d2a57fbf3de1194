import type { QualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * What views read, according to the catalog. A materialized view is a source like a table, with the rows of its last
 * refresh.
 */

/**
 * Where the search for a view's sources begins: at the view itself, for everything that it reads, or at a
 * table.
 */
export interface SourceRoot {
  view: QualifiedName;
  root: QualifiedName;
}

/**
 * The sources of views, as common table expressions. The first parameter has the roots, the second the names of plain
 * views that stand for materialized ones. `reads` has all views on the way and what they read; `sources` has only
 * relations with rows. A table comes with everything below it (partitions, inheritance children) and everything above
 * any of these, because a statement-level trigger fires on the table that the statement names. A child may have several
 * parents: rows of it that a view reads through one of them are written through the others too.
 */
export const SOURCES_OF_VIEWS = `wanted AS (
  SELECT w.position AS reader, w.view_schema, w.view_name, w.root_schema, w.root_name
  FROM pg_catalog.jsonb_to_recordset($1::jsonb)
    AS w(position int, view_schema text, view_name text, root_schema text, root_name text)
), stand_ins AS (
  SELECT c.oid
  FROM pg_catalog.jsonb_to_recordset($2::jsonb) AS s(schema text, name text)
  JOIN pg_catalog.pg_namespace n ON n.nspname = s.schema
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.name
), roots AS (
  SELECT w.reader, v.oid AS view_oid, c.oid
  FROM wanted w
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.root_schema
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.root_name
  LEFT JOIN (
    pg_catalog.pg_class v JOIN pg_catalog.pg_namespace s ON s.oid = v.relnamespace
  ) ON s.nspname = w.view_schema AND v.relname = w.view_name
), reads AS (
  SELECT r.reader, r.oid, c.relkind,
         coalesce(r.oid = r.view_oid, false) OR c.relkind = 'v' AND c.oid <> ALL (ARRAY(SELECT s.oid FROM stand_ins s)) AS is_walked
  FROM roots r
  JOIN pg_catalog.pg_class c ON c.oid = r.oid
  UNION
  SELECT r.reader, c.oid, c.relkind, c.relkind = 'v' AND c.oid <> ALL (ARRAY(SELECT s.oid FROM stand_ins s))
  FROM reads r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
  JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
   AND d.objid = w.oid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
   AND d.refobjid <> w.ev_class
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
  WHERE r.is_walked
), below AS (
  SELECT reader, oid FROM reads WHERE NOT is_walked
  UNION
  SELECT b.reader, i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
), sources AS (
  SELECT reader, oid FROM below
  UNION
  SELECT s.reader, i.inhparent FROM sources s JOIN pg_catalog.pg_inherits i ON i.inhrelid = s.oid
)`;

/** The first parameter of a statement with `SOURCES_OF_VIEWS`. */
export function rootsParameter(roots: readonly SourceRoot[]): string {
  return JSON.stringify(
    roots.map(({ view, root }, position) => ({
      position,
      view_schema: view.schema,
      view_name: view.name,
      root_schema: root.schema,
      root_name: root.name,
    })),
  );
}

export interface SourceRow {
  /** The position of the root in the given list. */
  position: number;
  /** `null`, like the columns below, if the root itself doesn't exist. */
  schema_name: string | null;
  table_name: string;
  /** pg_class.relkind. */
  relation_kind: string;
}

/** The sources of the given roots. A root that doesn't exist has one row without a name. */
export function selectSources(
  roots: readonly SourceRoot[],
  standIns: readonly QualifiedName[],
): SqlStatement {
  return {
    text: `WITH RECURSIVE ${SOURCES_OF_VIEWS}
SELECT w.reader AS position,
       n.nspname AS schema_name,
       c.relname AS table_name,
       c.relkind::text AS relation_kind
FROM wanted w
LEFT JOIN sources s ON s.reader = w.reader
LEFT JOIN pg_catalog.pg_class c ON c.oid = s.oid
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid IS NOT NULL OR NOT EXISTS (SELECT FROM roots r WHERE r.reader = w.reader)
ORDER BY w.reader, n.nspname, c.relname`,
    values: [rootsParameter(roots), JSON.stringify(standIns)],
  };
}
