import { quoteIdentifier } from './identifier.js';
import { CAPTURE_TRIGGER_COUNT } from './capture.sql.js';
import { captureFunctions, madeByUsers } from './shared-state.sql.js';
import {
  digestOf,
  FIRST_NORMAL_OID,
  hashOfVersions,
  versionsOf,
  viewIdentity,
} from './signature.sql.js';
import { storedFunction } from './stored-function.sql.js';

/** The `heap` access method: each write needs a transaction ID, which the triggers rely on. */
const HEAP = 2;

/** For this few sources, the result is not worth keeping for other views. */
const FEW_SOURCES = 10;

/** Reads the catalog's data about the sources into `facts`, whichever view reads them. */
function readRelations(): string {
  return `SELECT pg_catalog.jsonb_build_object(
      'kinds', pg_catalog.md5(r.kinds),
      'versions', pg_catalog.concat_ws(';', pg_catalog.md5(r.versions), a.versions, i.versions, t.versions, u.ids),
      'are_captured', r.can_be_captured AND r.count = pg_catalog.cardinality(sources)
        AND r.table_count = t.complete_count AND u.ids IS NULL,
      'have_own_types', a.has_own_types
    )
    INTO facts
    FROM (
      SELECT count(*),
             count(*) FILTER (WHERE c.relkind <> 'm') AS table_count,
             pg_catalog.string_agg(pg_catalog.concat_ws('.', c.oid, c.relkind, c.relpersistence, c.relrowsecurity), ';' ORDER BY c.oid) AS kinds,
             pg_catalog.string_agg(pg_catalog.concat_ws('.', c.relfilenode, c.xmin), ';' ORDER BY c.oid) AS versions,
             coalesce(pg_catalog.bool_and(
               c.relpersistence = 'p'
                 AND NOT c.relrowsecurity
                 AND (c.relkind IN ('m', 'p') OR c.relkind = 'r' AND c.relam = ${HEAP})
             ), false) AS can_be_captured
      FROM pg_catalog.pg_class c
      WHERE c.oid = ANY (sources)
    ) AS r
    CROSS JOIN (
      SELECT ${versionsOf('a')} AS versions,
             coalesce(pg_catalog.bool_or(a.atttypid >= ${FIRST_NORMAL_OID}), false) AS has_own_types
      FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = ANY (sources) AND a.attnum > 0
    ) AS a
    CROSS JOIN (
      SELECT ${versionsOf('i')} AS versions
      FROM pg_catalog.pg_inherits i
      WHERE i.inhrelid = ANY (sources)
    ) AS i
    CROSS JOIN (
      SELECT count(*) FILTER (WHERE t.always_count = ${CAPTURE_TRIGGER_COUNT}) AS complete_count,
             pg_catalog.concat_ws('.', sum(t.count), sum(t.version)) AS versions
      FROM (
        SELECT count(*), count(*) FILTER (WHERE t.tgenabled = 'A') AS always_count, ${hashOfVersions('t')} AS version
        FROM pg_catalog.pg_trigger t
        WHERE t.tgrelid = ANY (sources) AND t.tgfoid = ANY (functions)
        GROUP BY t.tgrelid
      ) AS t
    ) AS t
    CROSS JOIN (
      SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', u.srrelid, u.srsubid), ';' ORDER BY u.srrelid, u.srsubid) AS ids
      FROM pg_catalog.pg_subscription_rel u
      WHERE u.srrelid = ANY (sources)
    ) AS u;`;
}

/**
 * The function that examines what a view reads. It returns:
 *
 * `sources`: the relations with rows that the view reads. These are materialized views, and tables with all
 * partitions and inheritance children below them and everything above any of these.
 *
 * `signature`: everything that can change rows, or what a view computes from them, without a write that a trigger sees.
 * It has the versions (xmin) of the catalog rows of the relations, their columns and parents, rules, functions and the
 * library's triggers. So it also differs after a trigger was disabled and enabled again. The xmin of a materialized
 * view's row in pg_class differs after each refresh of it, whoever does it. `commonVersions` are a part of it too.
 *
 * The parts of the signature, separated by colons: what is computed from what, which decides about obstacles; the
 * versions of all that; the settings; the view's own query; the view's own rows.
 *
 * `is_captured`: whether each write to the sources leaves a row in the log. The signature contains everything that
 * this depends on, by versions that never come back. So if the signature is the same as before and the sources are
 * captured now, they were captured all the time: whatever was disabled and enabled, or dropped and created again, has
 * another version. Uncaptured sources have a signature too: it shows DDL, which needs no triggers.
 *
 * `relations`: all relations whose catalog rows the answer depends on, except the view itself; null if it also depends
 * on something that doesn't exist. `is_made_by_users`: whether it depends on `madeByUsers` too.
 *
 * Only `view_changes` may call it, because that has the planner settings (`CATALOG_PLANS`) and the shared state
 * (`sharedState`), which takes long to read in a database with many objects or partitions.
 */
export const SOURCE_STATE = storedFunction('source_state', {
  head: `(
  view_oid oid, capture jsonb, INOUT shared jsonb,
  OUT sources oid[], OUT signature text, OUT is_captured boolean,
  OUT relations oid[], OUT is_made_by_users boolean
)
LANGUAGE plpgsql
STABLE`,
  body: (stateSchema) => `
DECLARE
  functions oid[] := ${captureFunctions(quoteIdentifier(stateSchema))};
  walked oid[] := '{}';
  step oid[] := '{}';
  held oid[];
  key text;
  facts jsonb;
  were_tables_found boolean;
  definitions text;
  rules text;
  own_types oid[] := '{}';
  uses_own boolean;
BEGIN
  sources := '{}';
  is_captured := true;
  IF capture -> 'tables' <> '[]' THEN
    SELECT count(*) = count(c.oid),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind = 'v'), '{}'),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind <> 'v'), '{}')
    INTO is_captured, step, sources
    FROM pg_catalog.jsonb_to_recordset(capture -> 'tables') AS t(schema text, name text)
    LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
    LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name;
  END IF;
  IF (capture ->> 'reads_sources')::boolean THEN
    step := step || view_oid;
  END IF;
  were_tables_found := is_captured;
  WHILE step <> '{}' LOOP
    walked := walked || step;
    SELECT coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind = 'v' AND c.oid <> ALL (walked)), '{}'),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind <> 'v'), '{}')
    INTO step, held
    FROM pg_catalog.pg_rewrite w
    JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
     AND d.objid = w.oid
     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
     AND d.refobjid <> w.ev_class
    JOIN pg_catalog.pg_class c ON c.oid = d.refobjid
    WHERE w.ev_class = ANY (step);
    sources := sources || held;
  END LOOP;
  step := sources;
  LOOP
    step := ARRAY(
      SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = ANY (step)
      EXCEPT SELECT s.oid FROM pg_catalog.unnest(sources) AS s(oid)
    );
    EXIT WHEN step = '{}';
    sources := sources || step;
  END LOOP;
  step := sources;
  LOOP
    step := ARRAY(
      SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = ANY (step)
      EXCEPT SELECT s.oid FROM pg_catalog.unnest(sources) AS s(oid)
    );
    EXIT WHEN step = '{}';
    sources := sources || step;
  END LOOP;
  sources := ARRAY(SELECT DISTINCT s.oid FROM pg_catalog.unnest(sources) AS s(oid) ORDER BY s.oid);
  key := pg_catalog.md5(sources::text);
  facts := shared -> key;
  IF facts IS NULL THEN
    ${readRelations()}
    IF pg_catalog.cardinality(sources) > ${FEW_SOURCES} THEN
      shared := pg_catalog.jsonb_set(shared, ARRAY[key], facts);
    END IF;
  END IF;
  is_captured := is_captured AND (facts ->> 'are_captured')::boolean;
  uses_own := (facts ->> 'have_own_types')::boolean;
  is_made_by_users := uses_own;
  relations := CASE WHEN were_tables_found THEN pg_catalog.array_remove(sources || walked, view_oid) END;
  IF uses_own THEN
    own_types := ARRAY(
      SELECT t.oid
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = ANY (sources) AND a.attnum > 0 AND a.atttypid >= ${FIRST_NORMAL_OID}
        AND (t.typtype <> 'e' OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid))
    );
    own_types := own_types || ARRAY(SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid = ANY (own_types) AND t.typelem <> 0);
    relations := relations || ARRAY(SELECT t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = ANY (own_types) AND t.typrelid <> 0);
  END IF;
  SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', w.ev_class, w.oid, w.xmin), ';' ORDER BY w.oid)
           FILTER (WHERE w.ev_class <> view_oid),
         own_types <> '{}' OR coalesce(pg_catalog.bool_or(EXISTS (
           SELECT
           FROM pg_catalog.pg_depend d
           WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
             AND d.objid = w.oid
             AND d.refclassid NOT IN ('pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass)
             AND d.refobjid >= ${FIRST_NORMAL_OID}
         )), false)
  INTO rules, uses_own
  FROM pg_catalog.pg_rewrite w
  WHERE w.ev_class = ANY (walked || view_oid);
  is_made_by_users := is_made_by_users OR uses_own;
  definitions := pg_catalog.concat_ws('|', facts ->> 'kinds', rules);
  IF uses_own THEN
    IF shared -> 'made_by_users' IS NULL THEN
      shared := pg_catalog.jsonb_set(shared, '{made_by_users}', pg_catalog.to_jsonb(${madeByUsers(quoteIdentifier(stateSchema))}));
    END IF;
    definitions := pg_catalog.concat_ws('|', definitions, shared ->> 'made_by_users');
  END IF;
  IF own_types <> '{}' THEN
    definitions := pg_catalog.concat_ws('|', definitions,
      ${digestOf('pg_type t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid WHERE t.oid = ANY (own_types)', 'a')}
    );
  END IF;
  signature := pg_catalog.md5(definitions)
    || ':' || pg_catalog.md5(pg_catalog.concat_ws('|',
      were_tables_found,
      facts ->> 'versions',
      ${digestOf('pg_attribute a WHERE a.attrelid = ANY (walked) AND a.attrelid <> view_oid AND a.attnum > 0', 'a')},
      shared ->> 'versions'
    ))
    || ':' || (shared ->> 'settings')
    || ':' || ${viewIdentity('view_oid')};
END
`,
});
