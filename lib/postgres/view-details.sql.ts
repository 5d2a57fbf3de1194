import { FOREIGN_LITERALS } from './foreign-literal.sql.js';
import { type GrantJson, grantsJson } from './privilege.sql.js';
import { somebodysParameters } from './storage-parameters.sql.js';

/* What `selectViews` reads beyond what a comparison with fingerprints needs. */

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

/** The names of the extensions that a relation depends on. */
export function extensionsOf(oid: string): string {
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
export const DETAILS = `coalesce((
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

export const BRIEF_DETAILS = `'{}'::text[] AS toast_storage,
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
