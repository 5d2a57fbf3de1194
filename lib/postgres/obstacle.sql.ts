import { type QualifiedName, quoteIdentifier } from './identifier.js';
import { rootsParameter, SOURCES_OF_VIEWS, type SourceRoot } from './source.sql.js';
import { FIRST_NORMAL_OID, OBSTRUCTED, UNSURE } from './signature.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* Obstacles: reasons why it can't be known whether a view has to be refreshed. */

/** With these, some writes cannot even be noticed. */
const UNSEEN = [
  'foreign-table',
  'not-a-table',
  'own-table',
  'subscribed',
  'system-catalog',
] as const;

/** With these, writes are noticed, but even without a write a refresh may give other rows. */
const UNKNOWABLE = ['row-security', 'unlogged', 'volatile-function'] as const;

/** Why changes of a source, or of what a view computes from it, can't be noticed. */
export type ObstacleReason = (typeof UNSEEN | typeof UNKNOWABLE)[number];

/**
 * The obstacles that count: all of them for a view that is not refreshed while nothing changes, otherwise only
 * unnoticed writes.
 */
export function obstacleReasons(mustBeKnowable: boolean): readonly ObstacleReason[] {
  return mustBeKnowable ? [...UNSEEN, ...UNKNOWABLE] : UNSEEN;
}

export interface ObstacleRow {
  position: number;
  reason: ObstacleReason;
  /** The relation or function that is the obstacle. */
  subject: string;
}

/**
 * System functions that are not immutable only because they depend on settings. They are no obstacles, because the
 * signature contains these settings. Otherwise a view that groups by the day of a timestamptz could never be skipped.
 */
const DEPEND_ON_SETTINGS =
  '^(date_trunc|date_part|extract|timezone|date_add|date_subtract|interval_pl_timestamptz' +
  '|timestamptz_(pl|mi)_interval|(date|timestamp|timestamptz)_(cmp|eq|ne|lt|le|gt|ge)_(date|timestamp|timestamptz)' +
  '|date|time|timestamp|timestamptz|make_timestamptz|generate_series|overlaps' +
  '|to_char|to_date|to_timestamp|to_number|concat|concat_ws|format|array_to_string|anytextcat|textanycat' +
  '|quote_literal|quote_nullable|to_jsonb?|row_to_json|array_to_json|jsonb?_(object_)?agg(_unique)?(_strict)?(_transfn|_finalfn)?' +
  '|jsonb?_build_(array|object)|to_tsvector|(plain|phrase|websearch_)?to_tsquery|interval_in|array_in|range_in|multirange_in|record_in|enum_in)$';

/**
 * The obstacles of views. System functions have no rows in pg_depend, and neither do CURRENT_DATE and the like. So the
 * IDs of functions, operators and relations are read from the rule's tree as PostgreSQL prints it. That is a list of
 * nodes and not SQL: names and constants can't look like one of its fields, because a space in a name is escaped and
 * constants are printed as bytes.
 *
 * The text of a value of a type such as regclass is a name in the catalog, which may change. A constant of such a type
 * is no obstacle unless it is converted to text. The constant in `to_tsvector('english', ...)` is not converted.
 *
 * A plain view among the sources stands for a materialized one: all other plain views are followed to
 * what they read.
 *
 * OFFSET 0 makes PostgreSQL look up functions by OID. It expects so many of them that it would match all of pg_proc
 * with a regular expression instead.
 */
export function selectObstacles(
  stateSchema: string,
  roots: readonly SourceRoot[],
  standIns: readonly QualifiedName[],
): SqlStatement {
  return {
    text: `WITH RECURSIVE ${SOURCES_OF_VIEWS}, trees AS (
  SELECT r.reader, r.oid, w.ev_action::text AS tree
  FROM reads r
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
  WHERE r.is_walked
), names AS (
  SELECT ty.oid AS type, among.oid
  FROM pg_catalog.pg_type ty
  CROSS JOIN LATERAL (VALUES (ty.oid), (ty.typarray)) AS among(oid)
  WHERE ty.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND ty.typname ~ '^reg'
), named AS (
  SELECT t.reader, n.type
  FROM trees t
  CROSS JOIN LATERAL pg_catalog.regexp_matches(
    t.tree, '(?::vartype|:resulttype|:funcresulttype|\\{COERCEVIAIO :arg \\{CONST :consttype) (\\d+)', 'g'
  ) AS m(groups)
  JOIN names n ON n.oid = m.groups[1]::oid
  UNION
  SELECT t.reader, n.type
  FROM trees t
  JOIN sources s ON s.reader = t.reader
  JOIN pg_catalog.pg_attribute a ON a.attrelid = s.oid AND NOT a.attisdropped
  JOIN names n ON n.oid = a.atttypid
  WHERE t.tree LIKE '%:varattno 0 %'
), operators AS (
  SELECT t.reader, m.groups[1]::oid AS oid
  FROM trees t
  CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree, ':opno (\\d+)', 'g') AS m(groups)
  UNION ALL
  SELECT t.reader, o.oid::oid
  FROM trees t
  CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree, ':opnos \\(o ([\\d ]+)\\)', 'g') AS m(groups)
  CROSS JOIN LATERAL pg_catalog.regexp_split_to_table(m.groups[1], ' ') AS o(oid)
), functions AS (
  SELECT t.reader, m.groups[1]::oid AS oid
  FROM trees t
  CROSS JOIN LATERAL pg_catalog.regexp_matches(
    t.tree, ':(?:funcid|aggfnoid|winfnoid|opfuncid|tsmhandler) (\\d+)', 'g'
  ) AS m(groups)
  UNION ALL
  SELECT o.reader, p.oprcode FROM operators o JOIN pg_catalog.pg_operator p ON p.oid = o.oid
  UNION ALL
  SELECT t.reader, ty.typinput
  FROM trees t
  CROSS JOIN LATERAL pg_catalog.regexp_matches(
    t.tree, ':resulttype (\\d+) :resultcollid \\d+ :coerceformat', 'g'
  ) AS m(groups)
  JOIN pg_catalog.pg_type ty ON ty.oid = m.groups[1]::oid
  UNION ALL
  SELECT n.reader, ty.typoutput
  FROM named n
  JOIN pg_catalog.pg_type ty ON ty.oid = n.type
), all_functions AS (
  SELECT reader, oid FROM functions
  UNION
  SELECT f.reader, part.oid
  FROM functions f
  JOIN pg_catalog.pg_aggregate a ON a.aggfnoid = f.oid
  CROSS JOIN LATERAL (VALUES
    (a.aggtransfn::oid), (a.aggfinalfn::oid), (a.aggmtransfn::oid), (a.aggminvtransfn::oid), (a.aggmfinalfn::oid)
  ) AS part(oid)
), related AS (
  SELECT s.reader, c.oid, c.relkind, c.relpersistence, c.relrowsecurity
  FROM sources s
  JOIN pg_catalog.pg_class c ON c.oid = s.oid
)
SELECT reader AS position,
       CASE relkind WHEN 'f' THEN 'foreign-table' ELSE 'not-a-table' END AS reason,
       oid::pg_catalog.regclass::text AS subject
FROM related
WHERE relkind NOT IN ('r', 'p', 'm', 'v')
UNION
SELECT reader, 'system-catalog', oid::pg_catalog.regclass::text FROM related WHERE oid < ${FIRST_NORMAL_OID}
UNION
SELECT reader, 'unlogged', oid::pg_catalog.regclass::text FROM related WHERE relpersistence <> 'p'
UNION
SELECT reader, 'row-security', oid::pg_catalog.regclass::text FROM related WHERE relrowsecurity
UNION
SELECT r.reader, 'subscribed', r.oid::pg_catalog.regclass::text
FROM related r
JOIN pg_catalog.pg_subscription_rel s ON s.srrelid = r.oid
UNION
SELECT s.reader, 'own-table', s.oid::pg_catalog.regclass::text
FROM related s
JOIN pg_catalog.pg_class c ON c.oid = s.oid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $3
UNION
SELECT t.reader, 'system-catalog', m.groups[1]::oid::pg_catalog.regclass::text
FROM trees t
CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree, ':relid (\\d+)', 'g') AS m(groups)
WHERE m.groups[1]::oid BETWEEN 1 AND ${FIRST_NORMAL_OID - 1}
UNION
SELECT t.reader, 'volatile-function', 'CURRENT_DATE, CURRENT_USER or one of their kind'
FROM trees t
WHERE t.tree LIKE '%{SQLVALUEFUNCTION %'
UNION
SELECT t.reader, 'volatile-function', 'TABLESAMPLE'
FROM trees t
WHERE t.tree LIKE '%{TABLESAMPLECLAUSE %'
UNION
SELECT f.reader, 'volatile-function', p.oid::pg_catalog.regprocedure::text
FROM all_functions f
CROSS JOIN LATERAL (
  SELECT p.oid, p.provolatile, p.pronamespace, p.proname FROM pg_catalog.pg_proc p WHERE p.oid = f.oid OFFSET 0
) AS p
WHERE p.provolatile <> 'i'
  AND NOT (
    p.provolatile = 's'
    AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace
    AND p.proname ~ $4
  )
ORDER BY position, reason, subject`,
    values: [rootsParameter(roots), JSON.stringify(standIns), stateSchema, DEPEND_ON_SETTINGS],
  };
}

/**
 * Marks the signature of a view that has an obstacle, in the transaction that stored it: since the last sync,
 * someone may have put `now()` into a plain view below.
 */
export function markObstructed(stateSchema: string, roots: readonly SourceRoot[]): SqlStatement {
  const { text, values = [] } = selectObstacles(stateSchema, roots, []);
  const view = roots[0]?.view;
  const at = (position: number): string => `$${values.length + position}`;
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.view_state
SET source_signature = CASE WHEN found.is_unseen THEN '${OBSTRUCTED}' ELSE '${UNSURE}' END || source_signature
FROM (
  SELECT pg_catalog.bool_or(obstacles.reason = ANY (${at(1)}::text[])) AS is_unseen
  FROM (${text}) AS obstacles
) AS found
WHERE found.is_unseen IS NOT NULL
  AND schema_name = ${at(2)}
  AND view_name = ${at(3)}`,
    values: [...values, UNSEEN, view?.schema, view?.name],
  };
}
