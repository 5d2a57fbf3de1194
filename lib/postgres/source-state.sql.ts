import { escapeLiteral } from 'pg';
import { CAPTURE_FUNCTIONS, CAPTURE_TRIGGER_COUNT } from './capture.sql.js';

/** The function that looks at what a view reads. */
export const SOURCE_STATE = 'source_state';

/**
 * The last two parts of a signature. The first of them is the view's own definition. The second tells which rows the
 * view has: each refresh, by hand too, writes a new version of its row in pg_class, and a swap makes another view.
 * The schema is a part too, because while it has another name nobody keeps the log for the view. A refresh reads this
 * after its REFRESH, in the same transaction.
 */
function viewIdentity(oid: string): string {
  return `(
    SELECT pg_catalog.concat(c.oid, '.', w.xmin, '.', n.oid, '.', n.xmin, ':', c.xmin)
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid
    WHERE c.oid = ${oid}
  )`;
}

function part(signature: string, position: number): string {
  return `pg_catalog.split_part(${signature}, ':', ${position})`;
}

/** The signature that a refresh stores: of the sources as they were before it, and of the view as it is now. */
export function signatureAfterRefresh(signature: string, oid: string): string {
  const parts = [1, 2, 3].map((position) => part(signature, position));
  return [...parts, viewIdentity(oid)].join(` || ':' || `);
}

/** Whether two signatures are of the same queries over the same relations, whatever the relations contain. */
export function haveSameDefinitions(one: string, other: string): string {
  return sameParts(one, other, [1, 4]);
}

/** Whether two signatures are equal apart from the settings, which are those of the session that asks. */
export function areEqualButForSettings(one: string, other: string): string {
  return sameParts(one, other, [1, 2, 4, 5]);
}

function sameParts(one: string, other: string, positions: number[]): string {
  return positions
    .map((position) => `${part(one, position)} = ${part(other, position)}`)
    .join(' AND ');
}

/** Marks a signature, at its beginning: writes to some source cannot be noticed, so it only tells of DDL. */
export const OBSTRUCTED = '!';

/** Marks a signature, at its beginning: writes are noticed, but without any a refresh may give other rows. */
export const UNSURE = '?';

/** The `heap` access method: it is known to need a transaction ID for each write, which the triggers go by. */
const HEAP = 2;

/** The first OID of what is made after initdb: all below it are the system's. */
export const FIRST_NORMAL_OID = 16384;

/**
 * A digest of rows of a catalog: their count and the sum of their versions. While the count stays the same, the sum
 * only grows, because a row that is changed or made gets a newer transaction ID than the one that it replaces.
 */
function digestOf(rows: string, alias: string): string {
  return `(SELECT pg_catalog.concat_ws('.', count(*), sum(${alias}.xmin::text::bigint)) FROM pg_catalog.${rows})`;
}

/**
 * Digests of all that users have made and that queries compute with, whoever calls it: what a function's body calls is
 * nowhere to be read. Row types of tables and their arrays are left out, because each swap makes some.
 */
function madeByUsers(quotedSchema: string): string {
  const catalogs: [string, string][] = [
    [
      `pg_proc p WHERE p.oid >= ${FIRST_NORMAL_OID} AND p.pronamespace <> pg_catalog.to_regnamespace(${escapeLiteral(quotedSchema)})`,
      'p',
    ],
    ...['operator o', 'cast o', 'ts_dict o'].map((each): [string, string] => [
      `pg_${each} WHERE o.oid >= ${FIRST_NORMAL_OID}`,
      'o',
    ]),
    [`pg_aggregate a WHERE a.aggfnoid >= ${FIRST_NORMAL_OID}`, 'a'],
    [`pg_ts_config_map m WHERE m.mapcfg >= ${FIRST_NORMAL_OID}`, 'm'],
    [
      `pg_type t WHERE t.oid >= ${FIRST_NORMAL_OID} AND t.typtype <> 'c' AND (t.typtype <> 'b' OR t.typarray <> 0)`,
      't',
    ],
    [
      `pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'c' OR c.reltype = ANY (own_types)`,
      'a',
    ],
  ];
  return catalogs.map(([rows, alias]) => digestOf(rows, alias)).join(',\n      ');
}

/** The settings on which functions depend that only because of settings are not immutable. */
const SETTINGS = [
  'array_nulls',
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
  'xmlbinary',
  'xmloption',
];

/**
 * The function that looks at what a view reads. It gives:
 *
 * `sources`: what the view reads and what holds rows. These are tables, with all partitions and inheritance children
 * below them and all that is above them, and materialized views.
 *
 * `signature`: all that can change rows, or what a view makes of them, without a write that a trigger sees. It has the
 * versions (xmin) of the catalog's rows of the relations, their columns, rules, functions and the library's triggers.
 * So it also differs after a trigger was disabled and enabled again. The xmin of a materialized view's row in pg_class
 * differs after each refresh of it, whoever does it. The system identifier reveals a watermark of another cluster, and
 * the log's file a log that was emptied or made anew.
 *
 * The parts of the signature, separated by colons: what is computed from what, which decides about obstacles; the
 * versions of all that; the settings; the view's own query; the view's own rows.
 *
 * `is_captured`: whether each write to the sources leaves a row in the log. All that it follows from is in the
 * signature, by versions that never come back. So where the signature is the same as before and the sources are
 * captured now, they were captured all the time: what was disabled and enabled, or dropped and made anew, has another
 * version. Uncaptured sources have a signature too: it tells of DDL, for which no triggers are needed.
 *
 * Only `view_changes` may call it, because that has the settings for the planner (`CATALOG_PLANS`).
 */
export function createSourceState(quotedSchema: string): string {
  const functions = CAPTURE_FUNCTIONS.map(
    (name) => `pg_catalog.to_regprocedure(${escapeLiteral(`${quotedSchema}.${name}()`)})`,
  );
  const body = `
DECLARE
  functions oid[] := ARRAY[${functions.join(', ')}]::oid[];
  walked oid[] := '{}';
  step oid[] := '{}';
  held oid[];
  definitions text;
  relations text;
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
  SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', c.oid, c.relkind, c.relpersistence, c.relrowsecurity), ';' ORDER BY c.oid),
         pg_catalog.concat(is_captured, ';', pg_catalog.string_agg(
           pg_catalog.concat(c.oid, '.', c.relfilenode, '.', c.xmin, '/', a.versions, '/', t.versions, '/', u.ids), ';' ORDER BY c.oid
         )),
         is_captured AND count(*) = pg_catalog.cardinality(sources) AND coalesce(pg_catalog.bool_and(
           c.relpersistence = 'p'
             AND NOT c.relrowsecurity
             AND (c.relkind = 'm' OR (c.relkind = 'p' OR c.relkind = 'r' AND c.relam = ${HEAP}) AND t.always_count = ${CAPTURE_TRIGGER_COUNT})
             AND u.ids IS NULL
         ), false),
         coalesce(pg_catalog.bool_or(a.has_own_types), false)
  INTO definitions, relations, is_captured, uses_own
  FROM pg_catalog.pg_class c
  CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(a.xmin::text, ',' ORDER BY a.attnum) AS versions,
           pg_catalog.bool_or(a.atttypid >= ${FIRST_NORMAL_OID}) AS has_own_types
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0
  ) AS a
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.tgenabled = 'A') AS always_count,
           pg_catalog.string_agg(pg_catalog.concat_ws('.', t.oid, t.xmin), ',' ORDER BY t.oid) AS versions
    FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = c.oid AND t.tgfoid = ANY (functions)
  ) AS t
  CROSS JOIN LATERAL (
    SELECT pg_catalog.string_agg(u.srsubid::text, ',' ORDER BY u.srsubid) AS ids
    FROM pg_catalog.pg_subscription_rel u
    WHERE u.srrelid = c.oid
  ) AS u
  WHERE c.oid = ANY (sources);
  IF uses_own THEN
    own_types := ARRAY(
      SELECT t.oid
      FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
      WHERE a.attrelid = ANY (sources) AND a.attnum > 0 AND a.atttypid >= ${FIRST_NORMAL_OID}
        AND (t.typtype <> 'e' OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castsource = t.oid))
    );
    own_types := own_types || ARRAY(SELECT t.typelem FROM pg_catalog.pg_type t WHERE t.oid = ANY (own_types) AND t.typelem <> 0);
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
  definitions := pg_catalog.concat_ws('|', definitions, rules);
  IF uses_own THEN
    definitions := pg_catalog.concat_ws('|', definitions,
      ${madeByUsers(quotedSchema)}
    );
  END IF;
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
    ${digestOf('pg_enum e', 'e')},
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', a.attrelid, a.attnum, a.xmin), ';' ORDER BY a.attrelid, a.attnum)
     FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = ANY (walked) AND a.attrelid <> view_oid AND a.attnum > 0)
  )) || ':' || pg_catalog.md5(pg_catalog.concat_ws('|',
    ${SETTINGS.map((name) => `pg_catalog.current_setting('${name}')`).join(',\n    ')}
  )) || ':' || ${viewIdentity('view_oid')};
END
`;
  return `CREATE OR REPLACE FUNCTION ${quotedSchema}.${SOURCE_STATE}(view_oid oid, capture jsonb, OUT sources oid[], OUT signature text, OUT is_captured boolean)
LANGUAGE plpgsql
STABLE
AS ${escapeLiteral(body)}`;
}
