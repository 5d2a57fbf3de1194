import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * How PostgreSQL understands a definition, found out with plain views in a transaction that is rolled
 * back. It needs no parser of our own and reads no rows.
 */

/** The query of a view. */
export interface ViewQuery {
  text: string;
  /**
   * Whether it is the application's own text; otherwise it is PostgreSQL's, in which all names outside pg_catalog are
   * qualified.
   */
  isDeclared: boolean;
}

/** A plain view that stands for a materialized one. */
export function createStandIn(
  name: QualifiedName,
  query: ViewQuery,
  { replaces = false } = {},
): SqlStatement {
  return {
    text: `CREATE ${replaces ? 'OR REPLACE ' : ''}VIEW ${quoteQualifiedName(name)} AS\n${query.text}`,
    hasApplicationText: query.isDeclared,
  };
}

/** The name that a candidate definition is tried under: long, so that it hides no relation. */
const CANDIDATE = 'nestjs_materialized_views_candidate';

export function createCandidate(query: ViewQuery): SqlStatement {
  return {
    text: `CREATE TEMPORARY VIEW ${quoteIdentifier(CANDIDATE)} AS\n${query.text}`,
    hasApplicationText: query.isDeclared,
  };
}

export interface DefinitionRow {
  definition: string;
}

export function selectCandidate(): SqlStatement {
  return {
    text: `SELECT pg_catalog.pg_get_viewdef(c.oid) AS definition
FROM pg_catalog.pg_class c
WHERE c.relname = $1 AND c.relnamespace = pg_catalog.pg_my_temp_schema()`,
    values: [CANDIDATE],
  };
}

/** An empty table with the columns of a view, on which indexes can be tried. */
export function createShape(view: QualifiedName): SqlStatement {
  return {
    text: `CREATE TEMPORARY TABLE ${quoteIdentifier(SHAPE)} ON COMMIT DROP AS
SELECT * FROM ${quoteQualifiedName(view)}
WITH NO DATA`,
  };
}

/** PostgreSQL evaluates constant parts of index expressions at once, as the table's owner. */
export function setShapeOwner(owner: string): SqlStatement {
  return {
    text: `ALTER TABLE pg_temp.${quoteIdentifier(SHAPE)} OWNER TO ${quoteIdentifier(owner)}`,
  };
}

const SHAPE = 'nestjs_materialized_views_shape';

/** What the file of a migration needs to make such a table column by column. */
export const SHAPE_TEXTS = {
  name: `pg_temp.${SHAPE}`,
  create: `CREATE TEMPORARY TABLE ${SHAPE} ()`,
  alter: 'ALTER TABLE ',
  addColumn: `ALTER TABLE pg_temp.${SHAPE} ADD COLUMN `,
  createStatistics: `CREATE STATISTICS pg_temp.${SHAPE}`,
};

export interface ShapeRow {
  oid: string;
  schema_name: string;
  view_name: string;
}

export function selectShape(): SqlStatement {
  return {
    text: `SELECT c.oid::text AS oid, n.nspname AS schema_name, c.relname AS view_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = $1 AND c.relnamespace = pg_catalog.pg_my_temp_schema()`,
    values: [SHAPE],
  };
}

export interface StandInRow {
  schema_name: string;
  view_name: string;
  definition: string;
  columns: string[];
  /** Their types. */
  column_types: string[];
  /** Those whose values are never moved out of the row or compressed. */
  plain_columns: string[];
  /** The given views that it reads, by position in the list. */
  reads: number[];
  /** The unpopulated materialized views that it reads, as `schema.name`. */
  empty_sources: string[];
}

/**
 * Definition, columns and mutual dependencies of the given relations, in the given order. Naming a relation's row type
 * counts as a dependency too.
 */
export function selectStandIns(names: QualifiedName[]): SqlStatement {
  return {
    text: `WITH wanted AS (
  SELECT w.schema_name, w.view_name, w.position, c.oid, ty.oid AS type_oid, ty.typarray
  FROM ROWS FROM (
    pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])
  ) WITH ORDINALITY AS w(schema_name, view_name, position)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.view_name
  JOIN pg_catalog.pg_type ty ON ty.typrelid = c.oid
)
SELECT wanted.schema_name,
       wanted.view_name,
       pg_catalog.pg_get_viewdef(wanted.oid) AS definition,
       ARRAY(
         SELECT a.attname::text
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = wanted.oid AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum
       ) AS columns,
       ARRAY(
         SELECT pg_catalog.format_type(a.atttypid, a.atttypmod)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = wanted.oid AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attnum
       ) AS column_types,
       ARRAY(
         SELECT a.attname::text
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid AND ty.typstorage = 'p'
         WHERE a.attrelid = wanted.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS plain_columns,
       ARRAY(
         SELECT DISTINCT source.position::int - 1
         FROM pg_catalog.pg_rewrite r
         JOIN pg_catalog.pg_depend d
           ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
         JOIN wanted source
           ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = source.oid
           OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
             AND d.refobjid IN (source.type_oid, source.typarray)
         WHERE r.ev_class = wanted.oid
           AND source.oid <> wanted.oid
       ) AS reads,
       ARRAY(
         SELECT n.nspname || '.' || s.relname
         FROM pg_catalog.pg_rewrite r
         JOIN pg_catalog.pg_depend d
           ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
         JOIN pg_catalog.pg_class s ON s.oid = d.refobjid
         JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
         WHERE r.ev_class = wanted.oid
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND s.relkind = 'm'
           AND NOT s.relispopulated
       ) AS empty_sources
FROM wanted
ORDER BY wanted.position`,
    values: [names.map((name) => name.schema), names.map((name) => name.name)],
  };
}

/** A plain view without rows that has the given columns. */
export function createDummy(name: QualifiedName, columns: string[]): SqlStatement {
  const list = columns.map((column) => `NULL::int AS ${quoteIdentifier(column)}`).join(', ');
  return { text: `CREATE VIEW ${quoteQualifiedName(name)} AS\nSELECT ${list}` };
}

export interface SourceRow {
  schema_name: string;
  view_name: string;
}

/** What the candidate reads. */
export function selectCandidateSources(): SqlStatement {
  return {
    text: `SELECT DISTINCT n.nspname AS schema_name, s.relname AS view_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
JOIN pg_catalog.pg_depend d
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
JOIN pg_catalog.pg_class s ON s.oid = d.refobjid
JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
WHERE c.relname = $1
  AND c.relnamespace = pg_catalog.pg_my_temp_schema()
  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  AND s.oid <> c.oid`,
    values: [CANDIDATE],
  };
}
