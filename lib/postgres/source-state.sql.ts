import { CAPTURE_FUNCTIONS, CAPTURE_TRIGGER_COUNT } from './capture.sql.js';
import { escapeLiteral } from 'pg';

/** The function that looks at what a view reads. */
export const SOURCE_STATE = 'source_state';

/** The functions that tell whether anything has changed. */
export const DETECTOR_FUNCTIONS = [SOURCE_STATE];

export function createDetector(quotedSchema: string): string[] {
  return [createSourceState(quotedSchema)];
}

/**
 * Which rows a view has: who refreshes it, by hand too, writes a new version of its row in pg_class, and a
 * swap makes another view. To be read after the refresh, in its transaction.
 */
function viewIdentity(oid: string): string {
  return `(
    SELECT pg_catalog.concat_ws('.', c.oid, c.xmin, w.xmin)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
    WHERE c.oid = ${oid}
  )`;
}

/** The signature to be stored by a refresh: of the sources as they were before it, and of the view as it is now. */
export function signatureAfterRefresh(signature: string, oid: string): string {
  return `pg_catalog.split_part(${signature}, ':', 1) || ':' || ${viewIdentity(oid)}`;
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
 * A function, so that a session plans it once: as a statement it took 5 ms to plan, and as one query the
 * planner read whole catalogs. It would choose to plan most of it anew each time, for the lengths of the arrays.
 *
 * `sources` has what a view reads and holds rows: tables with all partitions and inheritance children
 * below and what is above, and materialized views. `signature` has what changes rows, or what a view makes of
 * them, without a write that a trigger sees: the rows of the catalog, by their versions (xmin), of the
 * relations, their columns, their rules, functions and the library's triggers. So it also differs after
 * a trigger was switched off and on again. xmin of a materialized view's row in pg_class differs after every
 * refresh of it, whoever does it. The system's identifier tells a watermark of another cluster. Behind the
 * colon is the same of the view itself.
 *
 * The signature is null, and nothing equals that, where a source is not there, or is no captured table.
 */
function createSourceState(quotedSchema: string): string {
  const functions = CAPTURE_FUNCTIONS.map(
    (name) => `pg_catalog.to_regprocedure(${escapeLiteral(`${quotedSchema}.${name}()`)})`,
  );
  const body = `
DECLARE
  declared oid[] := ARRAY(
    SELECT (
      SELECT c.oid
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = t.schema AND c.relname = t.name
    )
    FROM pg_catalog.jsonb_to_recordset(capture -> 'tables') AS t(schema text, name text)
  );
  functions oid[] := ARRAY[${functions.join(', ')}]::oid[];
  walked oid[] := '{}';
  step oid[];
  held oid[];
BEGIN
  step := ARRAY(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY (declared) AND c.relkind = 'v');
  sources := ARRAY(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid = ANY (declared) AND c.relkind <> 'v');
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
  SELECT CASE WHEN pg_catalog.bool_and(
           c.relpersistence = 'p'
             AND NOT c.relrowsecurity
             AND (c.relkind = 'm' OR c.relkind IN ('r', 'p') AND ${CAPTURE_TRIGGER_COUNT} = (
               SELECT count(*)
               FROM pg_catalog.pg_trigger t
               WHERE t.tgrelid = c.oid AND t.tgenabled = 'A' AND t.tgfoid = ANY (functions)
             ))
         ) AND count(*) = pg_catalog.cardinality(sources)
         THEN pg_catalog.string_agg(pg_catalog.concat_ws('.', c.oid, c.relfilenode, c.xmin, (
                SELECT pg_catalog.string_agg(a.xmin::text, ',' ORDER BY a.attnum)
                FROM pg_catalog.pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0
              ), (
                SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', t.oid, t.xmin), ',' ORDER BY t.oid)
                FROM pg_catalog.pg_trigger t
                WHERE t.tgrelid = c.oid AND t.tgfoid = ANY (functions)
              )), ';' ORDER BY c.oid)
         END
  INTO signature
  FROM pg_catalog.pg_class c
  WHERE c.oid = ANY (sources);
  IF pg_catalog.array_position(declared, NULL) IS NOT NULL
    OR EXISTS (SELECT FROM pg_catalog.pg_subscription_rel u WHERE u.srrelid = ANY (sources))
  THEN
    signature := NULL;
  END IF;
  signature := pg_catalog.md5(signature || '|' || pg_catalog.concat_ws('|',
    (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),
    (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ';' ORDER BY p.oid)
     FROM pg_catalog.pg_proc p
     WHERE p.oid = ANY (functions)),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', CASE WHEN w.ev_class <> view_oid THEN pg_catalog.concat_ws('.', w.ev_class, w.oid, w.xmin) END, (
              SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ',' ORDER BY p.oid)
              FROM pg_catalog.pg_depend d
              JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid
              WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
                AND d.objid = w.oid
                AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
            )), ';' ORDER BY w.ev_class = view_oid, w.oid)
     FROM pg_catalog.pg_rewrite w
     WHERE w.ev_class = ANY (walked || view_oid)),
    (SELECT pg_catalog.concat_ws('.', count(*), sum(e.xmin::text::bigint)) FROM pg_catalog.pg_enum e),
    ${SETTINGS.map((name) => `pg_catalog.current_setting('${name}')`).join(',\n    ')}
  )) || ':' || ${viewIdentity('view_oid')};
END
`;
  return `CREATE OR REPLACE FUNCTION ${quotedSchema}.${SOURCE_STATE}(view_oid oid, capture jsonb, OUT sources oid[], OUT signature text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS ${escapeLiteral(body)}`;
}
