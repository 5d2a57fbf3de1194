import { IS_ORDINARY_VIEW } from './dependents.sql.js';
import type { ForeignLiteral } from './foreign-literal.sql.js';
import type { QualifiedName } from './identifier.js';
import type { GrantJson } from './privilege.sql.js';
import { IS_USABLE_KEY } from './status.sql.js';
import type { SqlStatement } from './sql-statement.js';
import { somebodysParameters, withoutServersOwn } from './storage-parameters.sql.js';
import { BRIEF_DETAILS, type ColumnJson, DETAILS, extensionsOf } from './view-details.sql.js';
import { INDEX_ORIGIN, VIEW_SOURCES } from './view-origin.sql.js';

/*
 * What the catalog has about views, materialized or plain. Every name in a definition carries its schema, except those
 * in pg_catalog. information_schema doesn't list materialized views.
 */

export interface ViewRow {
  oid: string;
  schema_name: string;
  view_name: string;
  /** `m` materialized, `v` plain. */
  relation_kind: string;
  is_populated: boolean;
  definition: string;
  /** A hash of everything that the definition's text follows from; `null` if that can't be told. See `VIEW_SOURCES`. */
  origin: string | null;
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

/**
 * How much to read. Brief: what the comparison with fingerprints needs; columns have only names, and the rest is empty. Origins: the
 * same without the texts of definitions and indexes whose origin can be told, which take most of the time.
 */
export type Reading = 'whole' | 'brief' | 'origins';

const DEFINITION = 'pg_catalog.pg_get_viewdef(c.oid)';

/** A text, or an empty one where its origin can be told. */
function unlessKnown(origin: string, text: string): string {
  return `CASE WHEN ${origin} IS NULL THEN ${text} ELSE '' END`;
}

/** All views outside the system's schemas and extensions, or the one with the given name. */
export function selectViews(only?: QualifiedName, reading: Reading = 'whole'): SqlStatement {
  return {
    text: `SELECT c.oid::text AS oid,
       n.nspname AS schema_name,
       c.relname AS view_name,
       c.relkind::text AS relation_kind,
       c.relispopulated AS is_populated,
       ${reading === 'origins' ? unlessKnown('source.origin', DEFINITION) : DEFINITION} AS definition,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       t.spcname AS tablespace,
       am.amname AS access_method,
       coalesce(${somebodysParameters('c.reloptions')}, '{}') AS storage,
       pg_catalog.obj_description(c.oid, 'pg_class') AS comment,
       ${reading === 'whole' ? DETAILS : BRIEF_DETAILS},
       source.columns_hash AS sources_hash,
       source.origin
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
${VIEW_SOURCES}
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
  /** Everything that the body follows from; `null` if that can't be told. See `INDEX_ORIGIN`. */
  origin: string | null;
  tablespace: string | null;
  comment: string | null;
  is_clustered: boolean;
  /** The extensions that it depends on (DEPENDS ON EXTENSION). */
  extensions: string[];
  /** Statistics targets of its expressions, by position. */
  statistics: { position: number; target: number }[] | null;
}

/** The indexes of all materialized views. */
export function selectViewIndexes(reading: Reading = 'whole'): SqlStatement {
  return { text: `${indexColumns(reading)}\nWHERE v.relkind = 'm'\nORDER BY ic.oid` };
}

/** The indexes of one relation: a view, or the table on which declared indexes are tried. */
export function selectIndexesOf(oid: string): SqlStatement {
  return {
    text: `${indexColumns('whole')}\nWHERE v.oid = $1::oid\nORDER BY ic.oid`,
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
const INDEX_BODY = `(
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
       )`;

function indexColumns(reading: Reading): string {
  return `SELECT v.oid::text AS view_oid,
       ic.relname AS name,
       i.indisunique AS is_unique,
       i.indisvalid AS is_valid,
       ${IS_USABLE_KEY} AS is_usable_key,
       am.amname AS method,
       ${somebodysParameters('ic.reloptions')} AS storage,
       ${reading === 'origins' ? unlessKnown(INDEX_ORIGIN, INDEX_BODY) : INDEX_BODY} AS body,
       ${INDEX_ORIGIN} AS origin,
       t.spcname AS tablespace,
       i.indisclustered AS is_clustered,
       ${reading === 'whole' ? INDEX_DETAILS : BRIEF_INDEX_DETAILS}
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
