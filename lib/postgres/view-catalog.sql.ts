import { IS_ORDINARY_VIEW } from './dependents.sql.js';
import { FOREIGN_LITERALS, type ForeignLiteral } from './foreign-literal.sql.js';
import type { QualifiedName } from './identifier.js';
import { type GrantJson, grantsJson } from './privilege.sql.js';
import { IS_USABLE_KEY } from './status.sql.js';
import type { SqlStatement } from './sql-statement.js';
import { somebodysParameters, withoutServersOwn } from './storage-parameters.sql.js';

/*
 * What the catalog has about views, materialized or plain. Every name in a definition carries its schema, except those
 * in pg_catalog. information_schema doesn't list materialized views.
 */

export interface ColumnJson {
  name: string;
  type: string;
  comment: string | null;
  /** `null` for the default. */
  statistics: number | null;
  options: string[] | null;
  /** One of p, e, m, x if it isn't the type's default; otherwise `null`. */
  storage: string | null;
  /** p or l if it was set; otherwise `null`. */
  compression: string | null;
  /** Of a plain view. */
  default: string | null;
  grants: GrantJson[] | null;
}

export interface ViewRow {
  oid: string;
  schema_name: string;
  view_name: string;
  /** `m` materialized, `v` plain. */
  relation_kind: string;
  is_populated: boolean;
  definition: string;
  owner: string;
  tablespace: string | null;
  access_method: string | null;
  storage: string[];
  /** The same of its TOAST table. */
  toast_storage: string[];
  comment: string | null;
  /** Of the type of its rows. */
  type_comment: string | null;
  /** As in pg_class.relreplident; `d` by default and for a plain view. A view can't use an index for it. */
  replica_identity: string;
  /** The extensions that it depends on (DEPENDS ON EXTENSION). */
  extensions: string[];
  /** `null` for the owner's default privileges. */
  grants: GrantJson[] | null;
  columns: ColumnJson[];
  /** Its own triggers or rules, which can't be copied. */
  has_triggers_or_rules: boolean;
  /** Everything that can't be recreated, including these, each with its kind. */
  unmakeable: string[];
  /** What must not be parsed here. */
  foreign_literals: ForeignLiteral[] | null;
  /** A hash of the columns of everything that it reads. */
  sources_hash: string | null;
}

function extensionsOf(oid: string): string {
  return `ARRAY(
         SELECT x.extname::text
         FROM pg_catalog.pg_depend d
         JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.objid = ${oid}
           AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND d.deptype = 'x'
         ORDER BY x.extname
       )`;
}

/** A security label needs its provider loaded; triggers and rules are someone's own text. */
export const UNMAKEABLE = `ARRAY(
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, 0)
         FROM pg_catalog.pg_trigger g
         WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
         UNION ALL
         SELECT pg_catalog.pg_describe_object('pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid, 0)
         FROM pg_catalog.pg_rewrite r
         WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'
         UNION ALL
         SELECT 'a comment on its rule'
         FROM pg_catalog.pg_rewrite r
         WHERE r.ev_class = c.oid AND r.rulename = '_RETURN'
           AND pg_catalog.obj_description(r.oid, 'pg_rewrite') IS NOT NULL
         UNION ALL
         SELECT 'a security label of provider ' || pg_catalog.quote_ident(l.provider)
         FROM pg_catalog.pg_seclabel l
         WHERE (l.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND l.objoid = c.oid)
            OR (l.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass AND l.objoid = c.reltype)
         UNION ALL
         SELECT u.description
         FROM pg_catalog.pg_type ty
         CROSS JOIN LATERAL (
           SELECT 'privileges of the type of its rows' AS description WHERE ty.typacl IS NOT NULL
           UNION ALL
           SELECT 'a comment on the type of arrays of its rows'
           WHERE pg_catalog.obj_description(ty.typarray, 'pg_type') IS NOT NULL
         ) AS u
         WHERE ty.oid = c.reltype
         ORDER BY 1
       )`;

/** Not needed to compare views with their fingerprints, and half of the time that reading them takes. */
const DETAILS = `coalesce((
         SELECT ${somebodysParameters('toast.reloptions')}
         FROM pg_catalog.pg_class toast
         WHERE toast.oid = c.reltoastrelid
       ), '{}') AS toast_storage,
       pg_catalog.obj_description(c.reltype, 'pg_type') AS type_comment,
       CASE c.relkind WHEN 'm' THEN c.relreplident::text ELSE 'd' END AS replica_identity,
       ${extensionsOf('c.oid')} AS extensions,
       ${grantsJson('c.relacl')} AS grants,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'name', a.attname,
                  'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                  'comment', pg_catalog.col_description(c.oid, a.attnum),
                  'statistics', nullif(a.attstattarget, -1),
                  'options', ${somebodysParameters('a.attoptions')},
                  'storage', CASE WHEN a.attstorage <> ty.typstorage THEN a.attstorage END,
                  'compression', nullif(pg_catalog.to_jsonb(a) ->> 'attcompression', ''),
                  'default', (
                    SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                    FROM pg_catalog.pg_attrdef d
                    WHERE d.adrelid = c.oid AND d.adnum = a.attnum
                  ),
                  'grants', ${grantsJson('a.attacl')}
                ) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns,
       EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
         OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN')
         AS has_triggers_or_rules,
       ${UNMAKEABLE} AS unmakeable,
       (SELECT pg_catalog.json_agg(l ORDER BY l.part, l.name, l.type) FROM ${FOREIGN_LITERALS} AS l) AS foreign_literals`;

const BRIEF_DETAILS = `'{}'::text[] AS toast_storage,
       NULL AS type_comment,
       'd' AS replica_identity,
       '{}'::text[] AS extensions,
       NULL AS grants,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object('name', a.attname) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS columns,
       false AS has_triggers_or_rules,
       '{}'::text[] AS unmakeable,
       NULL AS foreign_literals`;

/** How much to read. Brief: what the comparison with fingerprints needs. The rest is empty, and columns have only names. */
export interface Reading {
  isBrief: boolean;
}

/** All views outside the system's schemas and extensions, or the one with the given name. */
export function selectViews(
  only?: QualifiedName,
  { isBrief }: Reading = { isBrief: false },
): SqlStatement {
  return {
    text: `SELECT c.oid::text AS oid,
       n.nspname AS schema_name,
       c.relname AS view_name,
       c.relkind::text AS relation_kind,
       c.relispopulated AS is_populated,
       pg_catalog.pg_get_viewdef(c.oid) AS definition,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       t.spcname AS tablespace,
       am.amname AS access_method,
       coalesce(${somebodysParameters('c.reloptions')}, '{}') AS storage,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       ${isBrief ? BRIEF_DETAILS : DETAILS},
       (
         SELECT pg_catalog.md5(pg_catalog.string_agg(
                  pg_catalog.format('%s.%s.%s.%s', s.relname, a.attnum, a.attname, a.atttypid), ','
                  ORDER BY s.relname, s.oid, a.attnum
                ))
         FROM (
           SELECT DISTINCT d.refobjid AS oid
           FROM pg_catalog.pg_rewrite r
           JOIN pg_catalog.pg_depend d
             ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
           WHERE r.ev_class = c.oid
             AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
             AND d.refobjid <> c.oid
         ) AS source
         JOIN pg_catalog.pg_class s ON s.oid = source.oid
         JOIN pg_catalog.pg_attribute a
           ON a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped
       ) AS sources_hash
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE ${IS_ORDINARY_VIEW}
  ${only === undefined ? '' : 'AND n.nspname = $1 AND c.relname = $2'}
ORDER BY c.oid`,
    values: only && [only.schema, only.name],
  };
}

export interface IndexRow {
  view_oid: string;
  name: string;
  is_unique: boolean;
  is_valid: boolean;
  /** Whether PostgreSQL can use it to refresh the view concurrently. */
  is_usable_key: boolean;
  /** Its access method. */
  method: string;
  /** `name=value`, as in pg_class.reloptions. */
  storage: string[] | null;
  /** What follows USING in its definition. It names no relation, so it fits any other view too. */
  body: string;
  tablespace: string | null;
  comment: string | null;
  is_clustered: boolean;
  /** The extensions that it depends on (DEPENDS ON EXTENSION). */
  extensions: string[];
  /** Statistics targets of its expressions, by position. */
  statistics: { position: number; target: number }[] | null;
}

/** The indexes of all materialized views. */
export function selectViewIndexes(reading: Reading = { isBrief: false }): SqlStatement {
  return { text: `${indexColumns(reading)}\nWHERE v.relkind = 'm'\nORDER BY ic.oid` };
}

/** The indexes of one relation: a view, or the table on which declared indexes are tried. */
export function selectIndexesOf(oid: string): SqlStatement {
  return {
    text: `${indexColumns({ isBrief: false })}\nWHERE v.oid = $1::oid\nORDER BY ic.oid`,
    values: [oid],
  };
}

const INDEX_DETAILS = `pg_catalog.obj_description(ic.oid, 'pg_class') AS comment,
       ${extensionsOf('ic.oid')} AS extensions,
       (
         SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
                  'position', a.attnum, 'target', a.attstattarget
                ) ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = ic.oid AND a.attstattarget >= 0
       ) AS statistics`;

const BRIEF_INDEX_DETAILS = `NULL AS comment,
       '{}'::text[] AS extensions,
       NULL AS statistics`;

/**
 * The text of pg_get_indexdef is cut after its known prefix, not by searching for words. From
 * PostgreSQL 14 on, it says pg_temp for the schema of temporary tables.
 */
function indexColumns({ isBrief }: Reading): string {
  return `SELECT v.oid::text AS view_oid,
       ic.relname AS name,
       i.indisunique AS is_unique,
       i.indisvalid AS is_valid,
       ${IS_USABLE_KEY} AS is_usable_key,
       am.amname AS method,
       ${somebodysParameters('ic.reloptions')} AS storage,
       (
         SELECT ${withoutServersOwn('pg_catalog.substr(d.definition, pg_catalog.length(d.head) + 1)', 'ic.reloptions')}
         FROM (
           SELECT pg_catalog.pg_get_indexdef(ic.oid) AS definition,
                  pg_catalog.format(
                    'CREATE %sINDEX %I ON %I.%I USING ',
                    CASE WHEN i.indisunique THEN 'UNIQUE ' END, ic.relname, s.name, v.relname
                  ) AS head
           FROM (VALUES (n.nspname), ('pg_temp')) AS s(name)
         ) AS d
         WHERE pg_catalog.starts_with(d.definition, d.head)
       ) AS body,
       t.spcname AS tablespace,
       i.indisclustered AS is_clustered,
       ${isBrief ? BRIEF_INDEX_DETAILS : INDEX_DETAILS}
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class v ON v.oid = i.indrelid
JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = ic.reltablespace`;
}

export interface StatisticsRow {
  view_oid: string;
  schema_name: string;
  name: string;
  owner: string;
  /** The part between the name and FROM in its definition. */
  body: string;
  target: number | null;
  comment: string | null;
}

/** Extended statistics of all materialized views, or of one. */
export function selectViewStatistics(oid?: string): SqlStatement {
  return {
    text: `SELECT v.oid::text AS view_oid,
       n.nspname AS schema_name,
       s.stxname AS name,
       pg_catalog.pg_get_userbyid(s.stxowner) AS owner,
       pg_catalog.substr(
         d.definition,
         pg_catalog.length(d.head) + 1,
         pg_catalog.length(d.definition) - pg_catalog.length(d.head) - pg_catalog.length(d.tail)
       ) AS body,
       nullif((pg_catalog.to_jsonb(s) ->> 'stxstattarget')::int, -1) AS target,
       pg_catalog.obj_description(s.oid, 'pg_statistic_ext') AS comment
FROM pg_catalog.pg_statistic_ext s
JOIN pg_catalog.pg_class v ON v.oid = s.stxrelid
JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
CROSS JOIN LATERAL (
  SELECT pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
         pg_catalog.format('CREATE STATISTICS %I.%I ', n.nspname, s.stxname) AS head,
         pg_catalog.format(' FROM %s', v.oid::pg_catalog.regclass) AS tail
) AS d
WHERE v.relkind = 'm'${oid === undefined ? '' : ' AND v.oid = $1::oid'}
ORDER BY s.oid`,
    values: oid === undefined ? undefined : [oid],
  };
}
