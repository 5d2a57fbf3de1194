import { FIRST_NORMAL_OID } from './signature.sql.js';

/** A part of another role's view whose text can't be parsed without running someone's code. */
export interface ForeignLiteral {
  part: 'definition' | 'index' | 'statistics' | 'column';
  /** Of the part; `''` for the definition. */
  name: string;
  /** Of the literal. */
  type: string;
}

/**
 * The literals in the text of the view `c` whose input functions call code that isn't PostgreSQL's own. Parsing
 * `'{x}'::some_domain[]` checks the domain with the rights of the role that parses; only for a plain domain does the check wait
 * for a row. Columns of composite types may be domains, or become domains before the text is parsed. A range type can have its own
 * functions.
 *
 * As a FROM item without an alias. The role's own views are left out: their code runs as this role anyway.
 */
export const FOREIGN_LITERALS = `(
  WITH RECURSIVE text AS (
    SELECT 'definition' AS part, '' AS name, r.ev_action::pg_catalog.text AS tree
    FROM pg_catalog.pg_rewrite r
    WHERE r.ev_class = c.oid AND r.rulename = '_RETURN'
    UNION ALL
    SELECT 'index', ic.relname::pg_catalog.text, pg_catalog.concat(x.indexprs, x.indpred)
    FROM pg_catalog.pg_index x
    JOIN pg_catalog.pg_class ic ON ic.oid = x.indexrelid
    WHERE x.indrelid = c.oid
    UNION ALL
    SELECT 'statistics', s.stxname::pg_catalog.text, pg_catalog.to_jsonb(s) ->> 'stxexprs'
    FROM pg_catalog.pg_statistic_ext s
    WHERE s.stxrelid = c.oid
    UNION ALL
    SELECT 'column', a.attname::pg_catalog.text, d.adbin::pg_catalog.text
    FROM pg_catalog.pg_attrdef d
    JOIN pg_catalog.pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = c.oid
  ), literal AS (
    SELECT DISTINCT text.part, text.name, m.found[1]::pg_catalog.oid AS type_oid
    FROM text
    CROSS JOIN LATERAL pg_catalog.regexp_matches(
      text.tree, ':consttype ([0-9]+) (?::[a-z]+ [^ ]+ )*:constisnull false', 'g'
    ) AS m(found)
    WHERE pg_catalog.pg_get_userbyid(c.relowner) <> current_user
  ), inside AS (
    SELECT literal.type_oid, literal.type_oid AS oid
    FROM literal
    UNION
    SELECT inside.type_oid, p.oid
    FROM inside
    JOIN pg_catalog.pg_type t ON t.oid = inside.oid
    CROSS JOIN LATERAL (
      SELECT t.typelem WHERE t.typelem <> 0::pg_catalog.oid
      UNION ALL
      SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
      UNION ALL
      SELECT r.rngtypid FROM pg_catalog.pg_range r
      WHERE (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::pg_catalog.oid = t.oid
    ) AS p(oid)
  )
  SELECT literal.part, literal.name, pg_catalog.format_type(literal.type_oid, NULL) AS type
  FROM literal
  WHERE EXISTS (
    SELECT
    FROM inside
    JOIN pg_catalog.pg_type t ON t.oid = inside.oid
    WHERE inside.type_oid = literal.type_oid
      AND t.oid >= ${FIRST_NORMAL_OID}
      AND (t.typtype IN ('c', 'd') OR EXISTS (
        SELECT
        FROM pg_catalog.pg_range r
        JOIN pg_catalog.pg_opclass o ON o.oid = r.rngsubopc
        JOIN pg_catalog.pg_amproc f ON f.amprocfamily = o.opcfamily
        JOIN pg_catalog.pg_proc p ON p.oid IN (r.rngcanonical, f.amproc)
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang
        WHERE r.rngtypid = t.oid AND l.lanname NOT IN ('c', 'internal')
      ))
  )
)`;
