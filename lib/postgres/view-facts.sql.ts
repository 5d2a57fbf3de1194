import { stopsDrop, WHOLE } from './dependents.sql.js';
import { FOREIGN_LITERALS } from './foreign-literal.sql.js';
import { namesOf, type QualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';
import {
  COLUMN_PARAMETERS,
  isSomebodys,
  listOf,
  VIEW_PARAMETERS,
  HEAP_PARAMETERS,
  withoutServersOwn,
} from './storage-parameters.sql.js';
import { UNMAKEABLE } from './view-details.sql.js';

/**
 * A property of a view, as the statement that sets it: `head`, the view's name, `tail`; or only `head` if `tail` is null. An `index setting` has the view's
 * schema between them, because an index is in that schema. Properties that no statement sets have the kind `definition`, `literal`, `dependent` or `other`.
 * The subject of a `dependent` that is a view is its name.
 */
export interface ViewFactRow {
  /** Its position in the given names. */
  position: number;
  kind: string;
  /** The column, index or the like that it belongs to. */
  subject: string;
  head: string;
  tail: string | null;
}

/** The properties of views. The statements are in an order in which they can be run. */
export function selectViewFacts(names: readonly QualifiedName[]): SqlStatement {
  return {
    text: VIEW_FACTS,
    values: namesOf(names),
  };
}

const privilegeFacts = (acl: string, column: string, kind: string): string => `
    SELECT 7, CASE WHEN g.grantor = c.relowner THEN '${kind}' ELSE 'other' END, ${column === '' ? `''` : 'a.attname::text'},
           pg_catalog.format('GRANT %s${column === '' ? '' : ' (%I)'} ON ', g.privilege_type${column}),
           pg_catalog.format(' TO %s%s%s',
             CASE WHEN g.grantee = 0::oid THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END,
             CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END,
             CASE WHEN g.grantor = c.relowner THEN '' ELSE ' GRANTED BY ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(g.grantor)) END)
    FROM pg_catalog.aclexplode(${acl}) AS g`;

/** Written into migrations, which must keep working with other releases of the library. */
export const VIEW_FACTS = `SELECT wanted.position::int - 1 AS position, f.kind, f.subject, f.head, f.tail
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY AS wanted(schema_name, view_name, position)
JOIN pg_catalog.pg_namespace n ON n.nspname = wanted.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.view_name
CROSS JOIN LATERAL (
  SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'v' THEN 'VIEW ' ELSE 'TABLE ' END AS keyword
) AS k
CROSS JOIN LATERAL (
  SELECT c.relacl IS NOT NULL AND EXISTS (
    SELECT FROM pg_catalog.aclexplode(pg_catalog.acldefault('r', c.relowner)) AS d
    WHERE d.privilege_type NOT IN (SELECT g.privilege_type FROM pg_catalog.aclexplode(c.relacl) AS g WHERE g.grantee = c.relowner)
  ) AS has_revoked
) AS r
CROSS JOIN LATERAL (
    SELECT 0, 'definition', '', 'DEFINITION ', CASE WHEN c.relkind IN ('m', 'v') THEN pg_catalog.pg_get_viewdef(c.oid) END
    UNION ALL
    SELECT 1, 'owner', '', 'ALTER ' || k.keyword, ' OWNER TO ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner))
    UNION ALL
    SELECT 2, CASE WHEN o.option_name IN (${listOf([...HEAP_PARAMETERS, ...VIEW_PARAMETERS])}) THEN 'storage' ELSE 'other' END,
           o.prefix || o.option_name, 'ALTER ' || k.keyword, pg_catalog.format(' SET (%s%I = %L)', o.prefix, o.option_name, o.option_value)
    FROM (
      SELECT '' AS prefix, * FROM pg_catalog.pg_options_to_table(c.reloptions)
      UNION ALL
      SELECT 'toast.', t.* FROM pg_catalog.pg_class toast, pg_catalog.pg_options_to_table(toast.reloptions) AS t WHERE toast.oid = c.reltoastrelid
    ) AS o
    WHERE ${isSomebodys('o.option_name')}
    UNION ALL
    SELECT 2, 'tablespace', '', 'ALTER ' || k.keyword, ' SET TABLESPACE ' || pg_catalog.quote_ident(t.spcname)
    FROM pg_catalog.pg_tablespace t WHERE t.oid = c.reltablespace
    UNION ALL
    SELECT 2, 'access method', '', 'ALTER ' || k.keyword, ' SET ACCESS METHOD ' || pg_catalog.quote_ident(am.amname)
    FROM pg_catalog.pg_am am WHERE am.oid = c.relam AND am.amname <> 'heap'
    UNION ALL
    SELECT 3, 'column', a.attname::text, 'ALTER ' || k.keyword, pg_catalog.format(' ALTER COLUMN %I SET %s', a.attname, s.setting)
    FROM pg_catalog.pg_attribute a
    JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    CROSS JOIN LATERAL (
      SELECT 'STATISTICS ' || a.attstattarget::text WHERE a.attstattarget >= 0 AND c.relkind = 'm'
      UNION ALL
      SELECT pg_catalog.format('(%I = %L)', o.option_name, o.option_value)
      FROM pg_catalog.pg_options_to_table(a.attoptions) AS o WHERE c.relkind = 'm' AND o.option_name IN (${listOf(COLUMN_PARAMETERS)})
      UNION ALL
      SELECT 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END
      WHERE a.attstorage <> ty.typstorage
      UNION ALL
      SELECT 'COMPRESSION ' || CASE j.compression WHEN 'p' THEN 'pglz' ELSE 'lz4' END
      FROM (SELECT pg_catalog.to_jsonb(a) ->> 'attcompression' AS compression) AS j WHERE j.compression IN ('p', 'l')
      UNION ALL
      SELECT 'DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) WHERE d.oid IS NOT NULL
    ) AS s(setting)
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 3, 'column', a.attname::text, 'COMMENT ON COLUMN ',
           pg_catalog.format('.%I IS %L', a.attname, pg_catalog.col_description(c.oid, a.attnum))
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND pg_catalog.col_description(c.oid, a.attnum) IS NOT NULL
    UNION ALL
    SELECT 3, 'comment', '', 'COMMENT ON ' || k.keyword, ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(c.oid, 'pg_class'))
    WHERE pg_catalog.obj_description(c.oid, 'pg_class') IS NOT NULL
    UNION ALL
    SELECT 3, 'type', '', 'COMMENT ON TYPE ', ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(c.reltype, 'pg_type'))
    WHERE pg_catalog.obj_description(c.reltype, 'pg_type') IS NOT NULL
    UNION ALL
    SELECT 3, 'other', u.description, u.description, NULL FROM pg_catalog.unnest(${UNMAKEABLE}) AS u(description)
    UNION ALL
    SELECT 3, 'literal', l.name, pg_catalog.format('literal of type %s in %s %s', l.type, l.part, l.name), NULL FROM ${FOREIGN_LITERALS} AS l
    UNION ALL
    SELECT DISTINCT 3, 'dependent', coalesce(dn.nspname || '.' || dc.relname, o.description), o.description || ' depends on ', ''
    FROM pg_catalog.pg_type ty
    JOIN pg_catalog.pg_depend d
      ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid
      OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (ty.oid, ty.typarray)
    CROSS JOIN LATERAL (SELECT ${WHOLE} AS oid) AS whole
    LEFT JOIN pg_catalog.pg_class dc ON dc.oid = whole.oid AND dc.relkind IN ('m', 'v')
    LEFT JOIN pg_catalog.pg_namespace dn ON dn.oid = dc.relnamespace
    CROSS JOIN LATERAL (
      SELECT CASE
        WHEN dc.oid IS NULL THEN pg_catalog.pg_describe_object(d.classid, d.objid, 0)
        ELSE pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, dc.oid, 0)
      END AS description
    ) AS o
    WHERE ty.oid = c.reltype AND whole.oid IS DISTINCT FROM c.oid AND ${stopsDrop('c.oid')}
    UNION ALL
    SELECT 3, 'extension', e.extname::text, 'ALTER ' || k.keyword, ' DEPENDS ON EXTENSION ' || pg_catalog.quote_ident(e.extname)
    FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'x'
      AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    UNION ALL
    SELECT i.step, i.kind, ic.relname::text, i.head, i.tail
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
    LEFT JOIN pg_catalog.pg_tablespace t ON t.oid = ic.reltablespace
    CROSS JOIN LATERAL (
      SELECT ${withoutServersOwn('pg_catalog.pg_get_indexdef(x.indexrelid)', 'ic.reloptions')} AS definition,
             pg_catalog.format('CREATE %sINDEX %I ON ', CASE WHEN x.indisunique THEN 'UNIQUE ' END, ic.relname) AS head,
             pg_catalog.format('%I.%I', n.nspname, c.relname) AS of_view,
             pg_catalog.format('.%I', ic.relname) AS of_index
    ) AS text
    CROSS JOIN LATERAL (
      SELECT 4 AS step, 'index' AS kind, text.head, pg_catalog.substr(text.definition, pg_catalog.length(text.head || text.of_view) + 1) AS tail
      UNION ALL
      SELECT 5, 'index setting', 'COMMENT ON INDEX ', text.of_index || ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(ic.oid, 'pg_class'))
      WHERE pg_catalog.obj_description(ic.oid, 'pg_class') IS NOT NULL
      UNION ALL
      SELECT 5, 'index setting', 'ALTER INDEX ', pg_catalog.format('%s ALTER COLUMN %s SET STATISTICS %s', text.of_index, a.attnum, a.attstattarget)
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = ic.oid AND a.attstattarget >= 0
      UNION ALL
      SELECT 5, 'index setting', 'ALTER INDEX ', text.of_index || ' SET TABLESPACE ' || pg_catalog.quote_ident(t.spcname) WHERE t.oid IS NOT NULL
      UNION ALL
      SELECT 5, 'index setting', 'ALTER INDEX ', text.of_index || ' DEPENDS ON EXTENSION ' || pg_catalog.quote_ident(e.extname)
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = ic.oid AND d.deptype = 'x'
        AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
      UNION ALL
      SELECT 5, 'cluster', 'ALTER ' || k.keyword, ' CLUSTER ON ' || pg_catalog.quote_ident(ic.relname) WHERE x.indisclustered
    ) AS i
    WHERE x.indrelid = c.oid AND x.indisvalid
    UNION ALL
    SELECT i.step, CASE i.step WHEN 4 THEN 'statistics' ELSE 'statistics setting' END, s.stxname::text, i.head, i.tail
    FROM pg_catalog.pg_statistic_ext s
    JOIN pg_catalog.pg_namespace sn ON sn.oid = s.stxnamespace
    CROSS JOIN LATERAL (
      SELECT pg_catalog.pg_get_statisticsobjdef(s.oid) AS definition,
             pg_catalog.format('STATISTICS %I.%I', sn.nspname, s.stxname) AS name,
             pg_catalog.format('%I.%I', n.nspname, c.relname) AS of_view
    ) AS text
    CROSS JOIN LATERAL (
      SELECT 4 AS step, pg_catalog.left(text.definition, pg_catalog.length(text.definition) - pg_catalog.length(text.of_view)) AS head, '' AS tail
      UNION ALL
      SELECT 5, 'COMMENT ON ' || text.name || ' IS ' || pg_catalog.quote_literal(pg_catalog.obj_description(s.oid, 'pg_statistic_ext')), NULL
      WHERE pg_catalog.obj_description(s.oid, 'pg_statistic_ext') IS NOT NULL
      UNION ALL
      SELECT 5, 'ALTER ' || text.name || ' SET STATISTICS ' || (pg_catalog.to_jsonb(s) ->> 'stxstattarget'), NULL
      WHERE (pg_catalog.to_jsonb(s) ->> 'stxstattarget')::int >= 0
      UNION ALL
      SELECT 5, 'ALTER ' || text.name || ' OWNER TO ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.stxowner)), NULL WHERE s.stxowner <> c.relowner
    ) AS i
    WHERE s.stxrelid = c.oid
    UNION ALL
    SELECT 5, 'identity', '', 'ALTER TABLE ', ' REPLICA IDENTITY ' || CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' ELSE 'USING INDEX ' || pg_catalog.quote_ident((
      SELECT ic.relname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid WHERE x.indrelid = c.oid AND x.indisreplident
    )) END
    WHERE c.relkind = 'm' AND c.relreplident <> 'd'
    UNION ALL
    SELECT 6, 'privilege', '', 'REVOKE ALL ON ', ' FROM ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner))
    WHERE r.has_revoked
    UNION ALL${privilegeFacts('c.relacl', '', 'privilege')}
    WHERE g.grantee <> c.relowner OR r.has_revoked
    UNION ALL
    SELECT p.*
    FROM pg_catalog.pg_attribute a
    CROSS JOIN LATERAL (${privilegeFacts('a.attacl', ', a.attname', 'column')}
    ) AS p
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
) AS f(step, kind, subject, head, tail)
ORDER BY wanted.position, f.step, f.head, f.tail`;
