import { escapeLiteral } from 'pg';
import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import { epochMs } from './instant.js';
import { applicationSetting, applicationValue } from './own-settings.sql.js';
import { RIGHT_TO_ACT, SERVER_VERSION } from './server.sql.js';
import { script, type SqlStatement } from './sql-statement.js';
import { USABLE_UNIQUE_INDEX } from './status.sql.js';

/*
 * Compares the rows of a view with what its query returns now. The query is the one in the catalog,
 * whatever is declared.
 */

/**
 * Keeps the view as it is until the transaction ends. It need not be populated. Nothing is planned: if someone has put
 * a plain view under the name, planning would call its constant functions.
 */
export function lockAsReader(view: QualifiedName): SqlStatement {
  return script([
    { text: `PREPARE ${OWN_NAME} AS SELECT FROM ${quoteQualifiedName(view)}` },
    { text: `DEALLOCATE ${OWN_NAME}` },
  ]);
}

const OWN_NAME = 'nestjs_materialized_views_drift';

/**
 * From here on, names resolve as in a refresh: with the search_path that PostgreSQL 17 and later set for it. On older
 * servers they resolve with the application's search_path but pg_catalog first, because the operators in
 * pg_get_viewdef's text depend on the search_path.
 */
export function readAsRefresh(): SqlStatement {
  return {
    text: `SELECT pg_catalog.set_config(
  '${applicationSetting('search_path')}',
  CASE
    WHEN ${SERVER_VERSION} >= 170000 THEN 'pg_catalog, pg_temp'
    ELSE pg_catalog.concat_ws(', ', 'pg_catalog', nullif(${applicationValue('search_path')}, ''))
  END,
  true
)`,
  };
}

export interface DriftColumn {
  name: string;
  /**
   * Whether its values can be compared: json, xml and point, for example, have no equality
   * operator.
   */
  is_comparable: boolean;
}

export interface DriftSubjectRow {
  oid: string;
  is_populated: boolean;
  /** The role that owns the view; `null` if it is the current role. */
  other_owner: string | null;
  /** Whether this role may act as the owner. */
  may_act_as_owner: boolean;
  columns: DriftColumn[];
  /** The columns of the smallest usable unique index; `null` without one. */
  key_columns: string[] | null;
}

/**
 * Everything that the comparison needs to know. A type can be compared if it and all its parts have a
 * default order: arrays, composite types and domains are as comparable as their parts.
 */
export function selectDriftSubject(view: QualifiedName): SqlStatement {
  return {
    text: `WITH RECURSIVE subject AS (
  SELECT c.oid
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind = 'm'
), part(attnum, type_oid) AS (
  SELECT a.attnum, a.atttypid
  FROM subject
  JOIN pg_catalog.pg_attribute a ON a.attrelid = subject.oid AND a.attnum > 0 AND NOT a.attisdropped
  UNION
  SELECT part.attnum, inside.type_oid
  FROM part
  JOIN pg_catalog.pg_type t ON t.oid = part.type_oid
  CROSS JOIN LATERAL (
    SELECT t.typbasetype AS type_oid WHERE t.typtype = 'd'
    UNION ALL
    SELECT t.typelem WHERE ${IS_ARRAY}
    UNION ALL
    SELECT a.atttypid
    FROM pg_catalog.pg_attribute a
    WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
  ) AS inside
), incomparable AS (
  SELECT part.attnum
  FROM part
  JOIN pg_catalog.pg_type t ON t.oid = part.type_oid
  WHERE t.typtype IN ('b', 'p')
    AND NOT ${IS_ARRAY}
    AND NOT EXISTS (
      SELECT
      FROM pg_catalog.pg_opclass o
      JOIN pg_catalog.pg_am am ON am.oid = o.opcmethod AND am.amname = 'btree'
      WHERE o.opcdefault
        AND (o.opcintype = t.oid OR EXISTS (
          SELECT
          FROM pg_catalog.pg_cast k
          WHERE k.castsource = t.oid
            AND k.casttarget = o.opcintype
            AND k.castmethod = 'b'
            AND k.castcontext = 'i'
        ))
    )
)
SELECT c.oid::text AS oid,
       c.relispopulated AS is_populated,
       CASE WHEN r.rolname <> current_user THEN r.rolname::text END AS other_owner,
       pg_catalog.pg_has_role(r.oid, ${RIGHT_TO_ACT}) AS may_act_as_owner,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'name', a.attname,
                  'is_comparable', a.attnum NOT IN (SELECT incomparable.attnum FROM incomparable)
                ) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns,
       (
         SELECT pg_catalog.json_agg(a.attname ORDER BY k.position)
         FROM (
           SELECT i.indkey, i.indnkeyatts
           FROM pg_catalog.pg_index i
           WHERE ${USABLE_UNIQUE_INDEX}
           ORDER BY i.indnkeyatts, i.indexrelid
           LIMIT 1
         ) AS key
         CROSS JOIN LATERAL pg_catalog.unnest(key.indkey[0:key.indnkeyatts - 1])
           WITH ORDINALITY AS k(attnum, position)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
       ) AS key_columns
FROM subject
JOIN pg_catalog.pg_class c ON c.oid = subject.oid
JOIN pg_catalog.pg_roles r ON r.oid = c.relowner`,
    values: [view.schema, view.name],
  };
}

export interface DriftQueryRow {
  definition: string;
}

/** The query, without a semicolon, with names that resolve under the application's search_path. */
export function selectDriftQuery({ oid }: DriftSubjectRow): SqlStatement {
  return {
    text: `SELECT pg_catalog.rtrim(pg_catalog.pg_get_viewdef($1::pg_catalog.oid), ';') AS definition`,
    values: [oid],
    hasApplicationText: true,
  };
}

const IS_ARRAY = '(t.typelem <> 0 AND t.typlen = -1)';

/** The key of each row, with values as text. */
export type KeyJson = Record<string, string | null>;

export interface DriftRow {
  /** Milliseconds since the epoch. */
  checked_at: number;
  missing_count: number;
  extra_count: number;
  /** `null` without a usable unique index. */
  missing_keys: KeyJson[] | null;
  extra_keys: KeyJson[] | null;
}

/**
 * Compares in one statement, and so in one snapshot. EXCEPT ALL, because a row that exists twice instead of
 * once is a difference. The query comes first, where no other name of this statement can hide one of its
 * tables. The application's search_path applies, so all other names are qualified.
 *
 * @param limit the maximum number of keys, each way
 */
export function selectDrift(
  view: QualifiedName,
  subject: DriftSubjectRow & DriftQueryRow,
  limit: number,
): SqlStatement {
  const { definition, columns, key_columns: keyColumns } = subject;
  const names = columns.map(({ name }) => quoteIdentifier(name));
  const comparable = columns.map(({ name, is_comparable: isComparable }) =>
    isComparable ? quoteIdentifier(name) : asText(quoteIdentifier(name)),
  );
  const compared = comparable.join(', ');
  const keys = keyColumns?.map((name) => quoteIdentifier(name));
  return {
    text: `WITH live AS MATERIALIZED (
  SELECT ${compared}
  FROM (
${definition}
  ) AS query(${names.join(', ')})
), stored AS MATERIALIZED (
  SELECT ${compared}
  FROM ${quoteQualifiedName(view)}
), missing AS MATERIALIZED (
  SELECT * FROM live
  EXCEPT ALL
  SELECT * FROM stored
), extra AS MATERIALIZED (
  SELECT * FROM stored
  EXCEPT ALL
  SELECT * FROM live
)
SELECT ${epochMs('pg_catalog.statement_timestamp()')} AS checked_at,
       (SELECT pg_catalog.count(*)::pg_catalog.float8 FROM missing) AS missing_count,
       (SELECT pg_catalog.count(*)::pg_catalog.float8 FROM extra) AS extra_count,
       ${sampleOf('missing', keys)} AS missing_keys,
       ${sampleOf('extra', keys)} AS extra_keys`,
    values: keys === undefined ? [] : [limit],
    hasApplicationText: true,
  };
}

/**
 * The same as a SECURITY DEFINER function that runs as another role. SET ROLE would not do, because a function that the
 * query calls could set the role back. In a SECURITY DEFINER function PostgreSQL refuses that. Whatever may outlive the
 * call, such as a held cursor, is rolled back with the function.
 */
export function createDriftFunction({ text }: SqlStatement, owner: string): SqlStatement {
  const body = `BEGIN RETURN QUERY EXECUTE ${escapeLiteral(text)} USING $1; END`;
  return script([
    {
      text: `CREATE FUNCTION pg_temp.${OWN_NAME}(pg_catalog.int4)
RETURNS TABLE (
  checked_at pg_catalog.float8, missing_count pg_catalog.float8, extra_count pg_catalog.float8,
  missing_keys pg_catalog.json, extra_keys pg_catalog.json
)
LANGUAGE plpgsql
SECURITY DEFINER
AS ${escapeLiteral(body)}`,
    },
    {
      text: `ALTER FUNCTION pg_temp.${OWN_NAME}(pg_catalog.int4) OWNER TO ${quoteIdentifier(owner)}`,
    },
  ]);
}

/** @param limit as for the statement that created the function */
export function selectDriftOfFunction(limit: number): SqlStatement {
  return {
    text: `SELECT * FROM pg_temp.${OWN_NAME}($1)`,
    values: [limit],
    hasApplicationText: true,
  };
}

function asText(quotedColumn: string): string {
  return `${quotedColumn}::pg_catalog.text AS ${quotedColumn}`;
}

function sampleOf(source: string, quotedKeys: string[] | undefined): string {
  return quotedKeys === undefined
    ? 'NULL::pg_catalog.json'
    : `(
         SELECT coalesce(pg_catalog.json_agg(key), '[]')
         FROM (
           SELECT ${quotedKeys.map(asText).join(', ')}
           FROM ${source}
           ORDER BY ${quotedKeys.map((key) => `${source}.${key}`).join(', ')}
           LIMIT $1
         ) AS key
       )`;
}
