import { escapeLiteral } from 'pg';
import { CAPTURE_FUNCTIONS } from './capture.sql.js';
import { applicationValue } from './own-settings.sql.js';
import { digestOf, FIRST_NORMAL_OID } from './signature.sql.js';

/* Parts of a signature that are the same for all views of a database. */

/**
 * Digests of everything that users created and queries compute with, whoever calls it, because what a function's body
 * calls can't be read anywhere. Row types of tables and their arrays are left out, because each swap creates some.
 */
export function madeByUsers(quotedSchema: string): string {
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
    [`pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE c.relkind = 'c'`, 'a'],
  ];
  const digests = catalogs.map(([rows, alias]) => digestOf(rows, alias));
  return `pg_catalog.concat_ws('|',
      ${digests.join(',\n      ')}
    )`;
}

/** The settings used by functions that are not immutable only because of settings. */
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

/** The existing capture functions, as an expression of type `oid[]`. */
export function captureFunctions(quotedSchema: string): string {
  const functions = CAPTURE_FUNCTIONS.map(
    ({ name }) => `pg_catalog.to_regprocedure(${escapeLiteral(`${quotedSchema}.${name}()`)})`,
  );
  return `ARRAY[${functions.join(', ')}]::oid[]`;
}

/**
 * What is the same for all views of a database: the versions in the second part of each signature. The system
 * identifier reveals a watermark of another server, and the log's file reveals a log that was truncated or created
 * again.
 */
function commonVersions(quotedSchema: string): string {
  return `pg_catalog.concat_ws('|',
    (SELECT s.system_identifier FROM pg_catalog.pg_control_system() s),
    (SELECT b.oid FROM pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()),
    (SELECT pg_catalog.concat_ws('.', l.oid, l.relfilenode)
     FROM pg_catalog.pg_class l
     WHERE l.oid = pg_catalog.to_regclass(${escapeLiteral(`${quotedSchema}.change_log`)})),
    (SELECT pg_catalog.string_agg(pg_catalog.concat_ws('.', p.oid, p.xmin), ';' ORDER BY p.oid)
     FROM pg_catalog.pg_proc p
     WHERE p.oid = ANY (${captureFunctions(quotedSchema)})),
    ${digestOf('pg_enum e', 'e')}
  )`;
}

/**
 * What is the same for all views that one statement asks about. Reading it for each view would take most of the
 * time. `source_state` adds what it finds for one view and others may need.
 */
export function sharedState(quotedSchema: string): string {
  const settings = SETTINGS.map(applicationValue);
  return `pg_catalog.jsonb_build_object(
    'versions', ${commonVersions(quotedSchema)},
    'settings', pg_catalog.md5(pg_catalog.concat_ws('|',
      ${settings.join(',\n      ')}
    ))
  )`;
}
