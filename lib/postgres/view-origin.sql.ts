/*
 * What the texts of definitions and of indexes follow from. Both are hashed much faster than PostgreSQL prints the text: that
 * needs all relations in the caches of a new connection.
 *
 * Contents are hashed and not versions of rows, so nothing has to be known about restores, upgrades or transaction IDs that come
 * back: other contents have another hash, and equal contents give the same text.
 */

/**
 * Constants that print names of relations, roles and the like without a dependency on them: `aclitem`, and arrays of it and of
 * the types `reg...`.
 */
const PRINTS_NAMES =
  ':consttype (1008|1033|1034|2207|2208|2209|2210|2211|3735|3770|4090|4097|4192) ';

/** Objects below it are those of initdb's first step, which have the same OID everywhere and keep their names. */
const FIRST_UNPINNED_OID = 12000;

/**
 * For a view `c`: `columns_hash`, a hash of the columns of everything that it reads, and `origin`. The text of its definition
 * follows from the tree of its rule and from the names of what that refers to. The names of its own columns and of the columns that it
 * reads are not included: the fingerprint has both.
 *
 * It is NULL if the rule depends on anything else than relations: on functions, types, operators and collations of users or
 * extensions. What is printed for these follows from more, such as the labels of an enum.
 */
export const VIEW_SOURCES = `CROSS JOIN LATERAL (
  SELECT (
           SELECT pg_catalog.md5(pg_catalog.string_agg(
                    pg_catalog.format('%s.%s.%s.%s', s.relname, a.attnum, a.attname, a.atttypid), ','
                    ORDER BY s.relname, s.oid, a.attnum
                  ))
           FROM pg_catalog.pg_class s
           JOIN pg_catalog.pg_attribute a ON a.attrelid = s.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE s.oid = ANY (rule.relations)
         ) AS columns_hash,
         CASE WHEN rule.has_only_relations AND rule.tree !~ '${PRINTS_NAMES}' THEN pg_catalog.md5(pg_catalog.concat(
           rule.tree,
           (
             SELECT pg_catalog.string_agg(
                      pg_catalog.format(' %s %I.%I', s.oid, sn.nspname, s.relname), '' ORDER BY s.oid
                    )
             FROM pg_catalog.pg_class s
             JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
             WHERE s.oid = ANY (rule.relations)
           )
         )) END AS origin
  FROM (
    SELECT pg_catalog.string_agg(DISTINCT r.ev_action::text, '') AS tree,
           pg_catalog.array_agg(DISTINCT d.refobjid)
             FILTER (WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> c.oid)
             AS relations,
           pg_catalog.bool_and(d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) AS has_only_relations
    FROM pg_catalog.pg_rewrite r
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
    WHERE r.ev_class = c.oid
  ) AS rule
  OFFSET 0
) AS source`;

/**
 * For an index `i` with its class `ic` and access method `am`. The names of the view's columns are not included. It is NULL for
 * indexes with expressions or a predicate, and for those that may name operator classes or collations of users.
 */
export const INDEX_ORIGIN = `CASE
         WHEN am.amname = 'btree' AND i.indexprs IS NULL AND i.indpred IS NULL
           AND ${FIRST_UNPINNED_OID} > ALL (i.indclass::oid[]) AND ${FIRST_UNPINNED_OID} > ALL (i.indcollation::oid[])
         THEN pg_catalog.concat_ws(
           ',', i.indkey, i.indnkeyatts, i.indclass, i.indcollation, i.indoption,
           pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct', ic.reloptions
         )
       END`;
