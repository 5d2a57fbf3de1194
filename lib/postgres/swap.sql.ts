import { type QualifiedName, quoteIdentifier, quoteQualifiedName } from './identifier.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * What only a swap needs to know from the catalog.
 */

export interface SwapObstacleRow {
  /** Whether it reads the view; otherwise it is a part of the view that a copy would not have. */
  is_dependent: boolean;
  /** With its kind: "view public.totals". */
  description: string;
}

/** What stops a view from being replaced by its copy. */
export function selectSwapObstacles(viewOid: string): SqlStatement {
  return {
    text: `WITH wanted AS (
  SELECT v.oid, ty.oid AS type_oid, ty.typarray
  FROM pg_catalog.pg_class v
  JOIN pg_catalog.pg_type ty ON ty.typrelid = v.oid
  WHERE v.oid = $1::oid
)
SELECT DISTINCT true AS is_dependent,
       CASE
         WHEN r.rulename = '_RETURN'
         THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0)
         ELSE pg_catalog.pg_describe_object(d.classid, d.objid, 0)
       END AS description
FROM wanted
JOIN pg_catalog.pg_depend d
  ON (d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = wanted.oid)
  OR (d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass
      AND d.refobjid IN (wanted.type_oid, wanted.typarray))
LEFT JOIN pg_catalog.pg_rewrite r
  ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND r.oid = d.objid
WHERE d.deptype = 'n' AND r.ev_class IS DISTINCT FROM wanted.oid
UNION ALL
SELECT false, 'the invalid index ' || pg_catalog.quote_ident(ic.relname)
FROM wanted
JOIN pg_catalog.pg_index i ON i.indrelid = wanted.oid AND NOT i.indisvalid
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
ORDER BY 1 DESC, 2`,
    values: [viewOid],
  };
}

/**
 * Takes SHARE UPDATE EXCLUSIVE on a view: others can read it, but neither change nor refresh it. LOCK TABLE
 * doesn't accept materialized views. The parameter that is reset only matters for tables with children, so
 * nothing changes.
 */
export function lockAgainstChanges(view: QualifiedName, column: string): SqlStatement {
  return {
    text: `ALTER MATERIALIZED VIEW ${quoteQualifiedName(view)}
ALTER COLUMN ${quoteIdentifier(column)} RESET (n_distinct_inherited)`,
  };
}

/** A view that matched its declaration still does, under another fingerprint. */
export function replaceFingerprint(
  stateSchema: string,
  view: QualifiedName,
  fingerprint: { before: string; after: string },
): SqlStatement {
  return {
    text: `UPDATE ${quoteIdentifier(stateSchema)}.view_state
SET fingerprint = $4
WHERE schema_name = $1 AND view_name = $2 AND fingerprint = $3`,
    values: [view.schema, view.name, fingerprint.before, fingerprint.after],
  };
}
