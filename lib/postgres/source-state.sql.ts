import { escapeLiteral } from 'pg';
import { CAPTURE_FUNCTIONS, CAPTURE_TRIGGER_COUNT } from './capture.sql.js';

/** The function that looks at what a view reads. */
export const SOURCE_STATE = 'source_state';

/**
 * Which rows a view has: who refreshes it, by hand too, writes a new version of its row in pg_class, and a
 * swap makes another view. To be read after the refresh, in its transaction. What it computes comes first.
 */
function viewIdentity(oid: string): string {
  return `(
    SELECT pg_catalog.concat(c.oid, '.', w.xmin, ':', c.xmin)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
    WHERE c.oid = ${oid}
  )`;
}

function part(signature: string, position: number): string {
  return `pg_catalog.split_part(${signature}, ':', ${position})`;
}

/** The signature to be stored by a refresh: of the sources as they were before it, and of the view as it is now. */
export function signatureAfterRefresh(signature: string, oid: string): string {
  return `${part(signature, 1)} || ':' || ${part(signature, 2)} || ':' || ${viewIdentity(oid)}`;
}

/** Whether two signatures are of the same queries over the same relations, whatever is in those. */
export function haveSameDefinitions(one: string, other: string): string {
  return `${part(one, 1)} = ${part(other, 1)} AND ${part(one, 3)} = ${part(other, 3)}`;
}

/** What functions depend on that are not immutable because of settings alone. */
const SETTINGS = [
  'TimeZone',
  'DateStyle',
  'IntervalStyle',
  'bytea_output',
  'default_text_search_config',
  'extra_float_digits',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'quote_all_identifiers',
];

/**
 * `sources` has what a view reads and holds rows: tables with all partitions and inheritance children
 * below and what is above, and materialized views. `signature` has what changes rows, or what a view makes of
 * them, without a write that a trigger sees: the rows of the catalog, by their versions (xmin), of the
 * relations, their columns, their rules, functions and the library's triggers. So it also differs after
 * a trigger was switched off and on again. xmin of a materialized view's row in pg_class differs after every
 * refresh of it, whoever does it. The system's identifier tells a watermark of another cluster, and the log's
 * file a log that was emptied or made anew.
 *
 * Its parts, between colons: what is computed from what, which decides about obstacles; the versions of all
 * that; the view's own query; the view's own rows.
 *
 * The signature is null, and nothing equals that, where a source is not there, or is no captured table.
 *
 * To be called by `createViewChanges` alone, which has the settings.
 */
export function createSourceState(quotedSchema: string): string {
  const functions = CAPTURE_FUNCTIONS.map(
    (name) => `pg_catalog.to_regprocedure(${escapeLiteral(`${quotedSchema}.${name}()`)})`,
  );
  const body = `
DECLARE
  functions oid[] := ARRAY[${functions.join(', ')}]::oid[];
  is_complete boolean := true;
  walked oid[] := '{}';
  step oid[] := '{}';
  held oid[];
  definitions text;
  relations text;
BEGIN
  sources := '{}';
  IF capture -> 'tables' <> '[]' THEN
    SELECT count(*) = count(c.oid),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind = 'v'), '{}'),
           coalesce(pg_catalog.array_agg(c.oid) FILTER (WHERE c.relkind <> 'v'), '{}')
    INTO is_complete, step, sources
    FROM pg_catalog.jsonb_to_recordset(capture -> 'tables') AS t(schema text, name text)
    LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema
    LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name;
  END IF;
  IF (capture ->> 'reads_sources')::boolean THEN
    step := step || view_oid;
  END IF;
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
  held := sources;
  step := held;
  LOOP
    step := ARRAY(SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = ANY (step));
    EXIT WHEN step = '{}';
    sources := sources || step;
  END LOOP;
  step := held;
  LOOP
    step := ARRAY(SELECT i.inhparent FROM pg_catalog.pg_inherits i WHERE i.inhrelid = ANY (step));
    EXIT WHEN step = '{}';
    sources := sources || step;
  END LOOP;
  sources := ARRAY(SELECT DISTINCT s.oid FROM pg_catalog.unnest(sources) AS s(oid));
  SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', c.oid, c.relkind), ';' ORDER BY c.oid),
         CASE WHEN count(*) = pg_catalog.cardinality(sources) AND pg_catalog.bool_and(
                c.relpersistence = 'p'
                  AND NOT c.relrowsecurity
                  AND (c.relkind = 'm' OR c.relkind IN ('r', 'p') AND t.always_count = ${CAPTURE_TRIGGER_COUNT})
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_subscription_rel u WHERE u.srrelid = c.oid)
              )
         THEN pg_catalog.string_agg(
                pg_catalog.concat_ws('.', c.oid, c.relfilenode, c.xmin, a.versions, t.versions), ';' ORDER BY c.oid
              )
         END
  INTO definitions, relations
  FROM pg_catalog.pg_class c
  CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(a.xmin::text, ',' ORDER BY a.attnum) AS versions
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0
  ) AS a
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.tgenabled = 'A') AS always_count,
           pg_catalog.string_agg(pg_catalog.concat_ws('.', t.oid, t.xmin), ',' ORDER BY t.oid) AS versions
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = c.oid AND t.tgfoid = ANY (functions)
  ) AS t
  WHERE c.oid = ANY (sources);
  IF relations IS NULL OR NOT is_complete THEN
    RETURN;
  END IF;
  definitions := pg_catalog.concat_ws('|', definitions, (
    SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', CASE WHEN w.ev_class <> view_oid THEN pg_catalog.concat_ws('.', w.ev_class, w.oid, w.xmin) END, (
             SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ',' ORDER BY p.oid)
             FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
             WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
               AND d.objid = w.oid
               AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
           )), ';' ORDER BY w.ev_class = view_oid, w.oid)
    FROM pg_catalog.pg_rewrite w
    WHERE w.ev_class = ANY (walked || view_oid)
  ));
  signature := pg_catalog.md5(definitions) || ':' || pg_catalog.md5(pg_catalog.concat_ws('|',
    relations,
    (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),
    (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()),
    (SELECT pg_catalog.concat_ws('.', l.oid, l.relfilenode)
     FROM pg_catalog.pg_class l
     WHERE l.oid = pg_catalog.to_regclass(${escapeLiteral(`${quotedSchema}.change_log`)})),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ';' ORDER BY p.oid)
     FROM pg_catalog.pg_proc p
     WHERE p.oid = ANY (functions)),
    (SELECT pg_catalog.concat_ws('.', count(*), sum(e.xmin::text::bigint)) FROM pg_catalog.pg_enum e),
    ${SETTINGS.map((name) => `pg_catalog.current_setting('${name}')`).join(',\n    ')}
  )) || ':' || ${viewIdentity('view_oid')};
END
`;
  return `CREATE OR REPLACE FUNCTION ${quotedSchema}.${SOURCE_STATE}(view_oid oid, capture jsonb, OUT sources oid[], OUT signature text)
LANGUAGE plpgsql
STABLE
AS ${escapeLiteral(body)}`;
}
