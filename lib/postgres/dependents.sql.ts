import { isView } from './view-kind.js';
import type { SqlStatement } from './sql-statement.js';

/* What depends on views according to pg_depend. Dropping a view has to deal with all of it. */

/**
 * Views `c` with their namespaces `n`, except those of system schemas, other sessions' schemas and extensions.
 */
export const IS_ORDINARY_VIEW = `${isView('c.relkind')}
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_t')
  AND NOT EXISTS (
    SELECT
    FROM pg_catalog.pg_depend e
    WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND e.objid = c.oid AND e.deptype = 'e'
  )`;

/**
 * The relation that a dependent object is a part of; `NULL` if the object stands alone. Rules other than a view's own
 * stand alone.
 */
export const WHOLE = `CASE d.classid
    WHEN 'pg_catalog.pg_class'::pg_catalog.regclass
      THEN coalesce((SELECT i.indrelid FROM pg_catalog.pg_index i WHERE i.indexrelid = d.objid), d.objid)
    WHEN 'pg_catalog.pg_rewrite'::pg_catalog.regclass
      THEN (SELECT r.ev_class FROM pg_catalog.pg_rewrite r WHERE r.oid = d.objid AND r.rulename = '_RETURN')
    WHEN 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass
      THEN (SELECT s.stxrelid FROM pg_catalog.pg_statistic_ext s WHERE s.oid = d.objid)
    WHEN 'pg_catalog.pg_attrdef'::pg_catalog.regclass
      THEN (SELECT a.adrelid FROM pg_catalog.pg_attrdef a WHERE a.oid = d.objid)
    WHEN 'pg_catalog.pg_trigger'::pg_catalog.regclass
      THEN (SELECT t.tgrelid FROM pg_catalog.pg_trigger t WHERE t.oid = d.objid)
  END`;

/**
 * Whether a row `d` of pg_depend is a dependency that stops DROP. A rule of the view itself is not its dependent.
 * Sequences that belong to a column of a plain view are dropped with it silently; they are the only dependency that
 * isn't of the kind "normal".
 */
export function stopsDrop(viewOid: string): string {
  return `(
      d.deptype = 'n'
      OR d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.deptype = 'a'
        AND EXISTS (
          SELECT FROM pg_catalog.pg_class s WHERE s.oid = d.objid AND s.relkind = 'S'
        )
    )
    AND NOT EXISTS (
      SELECT
      FROM pg_catalog.pg_rewrite r
      WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND r.oid = d.objid
        AND r.ev_class = ${viewOid}
    )`;
}

export interface DependentRow {
  /** The view on which something depends. */
  view_oid: string;
  /** The view that depends on it; `null` for anything else. */
  dependent_oid: string | null;
  /** Anything else as PostgreSQL describes it, with its kind: "function public.f()"; `null` for a view. */
  description: string | null;
}

/** Everything that depends on views or on their row types. */
export function selectDependents(): SqlStatement {
  return {
    text: `WITH view AS (
  SELECT c.oid, ty.oid AS type_oid, ty.typarray
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_type ty ON ty.typrelid = c.oid
  WHERE ${IS_ORDINARY_VIEW}
), dependent AS (
  SELECT DISTINCT v.oid AS view_oid, d.classid, d.objid, ${WHOLE} AS whole
  FROM view v
  CROSS JOIN LATERAL (
    SELECT d.*
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = v.oid
    UNION ALL
    SELECT d.*
    FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
      AND d.refobjid IN (v.type_oid, v.typarray)
  ) AS d
  WHERE ${stopsDrop('v.oid')}
)
SELECT DISTINCT d.view_oid::text AS view_oid,
       reader.oid::text AS dependent_oid,
       CASE
         WHEN reader.oid IS NULL
         THEN CASE
                WHEN d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.whole IS NOT NULL
                THEN pg_catalog.pg_describe_object(
                       'pg_catalog.pg_class'::pg_catalog.regclass, d.whole, 0
                     )
                ELSE pg_catalog.pg_describe_object(d.classid, d.objid, 0)
              END || coalesce(' of extension ' || extension.name, '')
       END AS description
FROM dependent d
LEFT JOIN view reader ON reader.oid = d.whole
LEFT JOIN LATERAL (
  SELECT pg_catalog.quote_ident(x.extname) AS name
  FROM pg_catalog.pg_depend e
  JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid
  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND e.objid = d.whole
    AND e.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
    AND e.deptype = 'e'
) AS extension ON true
WHERE d.whole IS DISTINCT FROM d.view_oid`,
  };
}
