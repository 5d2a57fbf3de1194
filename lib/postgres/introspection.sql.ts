import { IS_ORDINARY_VIEW } from './dependents.sql.js';
import { IS_USABLE_KEY, NEVER_ANALYSED } from './status.sql.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * What the catalog says about views, for reading only. PostgreSQL's functions for definitions and sizes open the
 * relations, so they are not called for relations that are locked against readers or about to be.
 */

/** Relations that someone has locked against readers, or is waiting to lock. */
const LOCKED = `locked AS MATERIALIZED (
  SELECT l.relation
  FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'relation'
    AND l.mode = 'AccessExclusiveLock'
    AND l.database = (
      SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
    )
)`;

const RELATION_KEY = `'pg_catalog.pg_class'::pg_catalog.regclass::oid::text || '/' || c.oid::text`;

export interface InspectedColumnJson {
  name: string;
  type: string;
  comment: string | null;
}

export interface InspectedViewRow {
  /** Its name in `CatalogEdgeRow`. */
  key: string;
  schema_name: string;
  view_name: string;
  /** `m` materialized, `v` plain. */
  relation_kind: string;
  owner: string;
  comment: string | null;
  is_populated: boolean;
  /** `null` while the view or what it reads is locked against readers. */
  definition: string | null;
  /** With indexes and TOAST; `null` for a plain view, and while the view is locked against readers. */
  size_bytes: number | null;
  /** `null` for a plain view, and before the first ANALYZE. */
  row_count_estimate: number | null;
  columns: InspectedColumnJson[] | null;
}

/**
 * All views outside the system's schemas and extensions, or those of one schema.
 *
 * @param isBrief leaves out what needs a lock
 */
export function selectInspectedViews(schema: string | null, isBrief: boolean): SqlStatement {
  return {
    text: `WITH ${LOCKED}, busy AS MATERIALIZED (
  SELECT locked.relation AS oid
  FROM locked
  UNION
  SELECT r.ev_class
  FROM locked
  JOIN pg_catalog.pg_depend d
    ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = locked.relation
  JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
)
SELECT ${RELATION_KEY} AS key,
       n.nspname AS schema_name,
       c.relname AS view_name,
       c.relkind::text AS relation_kind,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       c.relispopulated AS is_populated,
       CASE
         WHEN NOT $2::bool AND c.oid NOT IN (SELECT busy.oid FROM busy)
         THEN pg_catalog.pg_get_viewdef(c.oid)
       END AS definition,
       CASE
         WHEN NOT $2::bool AND c.relkind = 'm' AND c.oid NOT IN (SELECT locked.relation FROM locked)
         THEN pg_catalog.pg_total_relation_size(c.oid)::float8
       END AS size_bytes,
       CASE WHEN c.relkind = 'm' THEN nullif(c.reltuples, ${NEVER_ANALYSED}) END AS row_count_estimate,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'name', a.attname,
                  'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                  'comment', pg_catalog.col_description(c.oid, a.attnum)
                ) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE ${IS_ORDINARY_VIEW}
  AND ($1::text IS NULL OR n.nspname = $1::text)
ORDER BY n.nspname, c.relname`,
    values: [schema, isBrief],
  };
}

export interface InspectedIndexRow {
  view_key: string;
  name: string;
  /** `null` while the index or its view is locked against readers. */
  definition: string | null;
  method: string;
  is_unique: boolean;
  is_valid: boolean;
  /** Whether PostgreSQL can use it to refresh the view concurrently. */
  is_usable_key: boolean;
  /** Since the database's statistics were last reset. */
  scan_count: number;
  /** `null` while the index or its view is locked against readers. */
  size_bytes: number | null;
  comment: string | null;
}

/** Whether an index and its view can be opened. */
const IS_OPEN = `NOT $2::bool
           AND NOT EXISTS (SELECT FROM locked WHERE locked.relation IN (c.oid, ic.oid))`;

/** The indexes of all materialized views, or of those of one schema. */
export function selectInspectedIndexes(schema: string | null, isBrief: boolean): SqlStatement {
  return {
    text: `WITH ${LOCKED}
SELECT ${RELATION_KEY} AS view_key,
       ic.relname AS name,
       CASE
         WHEN ${IS_OPEN}
         THEN pg_catalog.pg_get_indexdef(ic.oid)
       END AS definition,
       am.amname AS method,
       i.indisunique AS is_unique,
       i.indisvalid AS is_valid,
       ${IS_USABLE_KEY} AS is_usable_key,
       pg_catalog.pg_stat_get_numscans(ic.oid)::float8 AS scan_count,
       CASE
         WHEN ${IS_OPEN}
         THEN pg_catalog.pg_relation_size(ic.oid)::float8
       END AS size_bytes,
       pg_catalog.obj_description(ic.oid, 'pg_class') AS comment
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
WHERE ${IS_ORDINARY_VIEW}
  AND ($1::text IS NULL OR n.nspname = $1::text)
ORDER BY ic.relname`,
    values: [schema, isBrief],
  };
}

export interface CatalogEdgeRow {
  dependent_key: string;
  dependent_kind: string;
  dependent_schema: string;
  dependent_name: string;
  source_key: string;
  source_kind: string;
  source_schema: string;
  source_name: string;
}

/** A function with its arguments, as `name(text, integer)`. */
const FUNCTION_NAME = `p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')'`;

/** What calls a function without naming it, of a reference `r`: an operator, and a domain or the one below it with its checks. */
const HIDDEN_REFERENCES = `
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass::oid, o.oprcode::oid
    FROM pg_catalog.pg_operator o
    WHERE r.refclassid = 'pg_catalog.pg_operator'::pg_catalog.regclass AND o.oid = r.refobjid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::pg_catalog.regclass::oid, t.typbasetype
    FROM pg_catalog.pg_type t
    WHERE r.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
      AND t.oid = r.refobjid
      AND t.typtype = 'd'
    UNION ALL
    SELECT c.refclassid, c.refobjid
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_depend c
      ON c.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND c.objid = k.oid AND c.deptype = 'n'
    WHERE r.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND k.contypid = r.refobjid
  `;

/**
 * What reads what: views and functions on one side; tables, views and functions on the other. For a view, only its
 * own query; for a function, what PostgreSQL knows: a body in standard SQL, and the row types of its arguments and
 * result.
 */
export function selectCatalogEdges(): SqlStatement {
  return {
    text: `WITH RECURSIVE node AS MATERIALIZED (
  SELECT c.oid,
         'pg_catalog.pg_class'::pg_catalog.regclass::oid AS class_oid,
         c.relkind::text AS kind,
         n.nspname AS schema_name,
         c.relname::text AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  UNION ALL
  SELECT p.oid,
         'pg_catalog.pg_proc'::pg_catalog.regclass::oid,
         'function',
         n.nspname,
         ${FUNCTION_NAME}
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
), reference AS (
  SELECT d.classid, d.objid, d.refclassid, d.refobjid
  FROM pg_catalog.pg_depend d
  WHERE d.deptype = 'n'
    AND d.classid IN (
      'pg_catalog.pg_rewrite'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass
    )
  UNION
  SELECT r.classid, r.objid, part.class_oid, part.oid
  FROM reference r
  CROSS JOIN LATERAL (${HIDDEN_REFERENCES}) AS part(class_oid, oid)
), depends AS (
  SELECT CASE WHEN r.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::pg_catalog.regclass::oid END
           AS dependent_class,
         coalesce(r.ev_class, d.objid) AS dependent_oid,
         CASE WHEN ty.oid IS NULL THEN d.refclassid ELSE 'pg_catalog.pg_class'::pg_catalog.regclass::oid END
           AS source_class,
         coalesce(element.typrelid, ty.typrelid, d.refobjid) AS source_oid
  FROM reference d
  LEFT JOIN pg_catalog.pg_rewrite r
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    AND r.oid = d.objid
    AND r.rulename = '_RETURN'
  LEFT JOIN pg_catalog.pg_type ty
    ON d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND ty.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_type element ON element.oid = ty.typelem AND ty.typcategory = 'A'
  WHERE r.oid IS NOT NULL OR d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
)
SELECT DISTINCT d.dependent_class::text || '/' || d.dependent_oid::text AS dependent_key,
       dependent.kind AS dependent_kind,
       dependent.schema_name AS dependent_schema,
       dependent.name AS dependent_name,
       d.source_class::text || '/' || d.source_oid::text AS source_key,
       source.kind AS source_kind,
       source.schema_name AS source_schema,
       source.name AS source_name
FROM depends d
JOIN node dependent ON dependent.class_oid = d.dependent_class AND dependent.oid = d.dependent_oid
JOIN node source ON source.class_oid = d.source_class AND source.oid = d.source_oid
WHERE (d.dependent_class, d.dependent_oid) <> (d.source_class, d.source_oid)
ORDER BY source_schema, source_name, dependent_schema, dependent_name`,
  };
}
