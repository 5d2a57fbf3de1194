import type { TestDatabase } from './test-database.js';

/** The base types of values in the library's statements. */
const TYPES = [
  'bool',
  'int2',
  'int4',
  'int8',
  'float4',
  'float8',
  'numeric',
  'text',
  'varchar',
  'name',
  '"char"',
  'oid',
  'regclass',
  'regproc',
  'regnamespace',
  'timestamptz',
  'interval',
  'uuid',
  'jsonb',
  'xid',
  'xid8',
  'text[]',
  'oid[]',
];

const OPERATORS = [
  ...['=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '%'],
  ...['||', '~', '!~', '~~', '->', '->>', '<<', '|', '&', '@>'],
];

/** Names of types that a statement may write without a schema. */
const DOMAINS = ['text', 'int4', 'int8', 'float8', 'oid', 'bool', 'jsonb', 'timestamptz', 'uuid'];

/**
 * Puts into the schema `public` what anybody could put there who may create in it: for each pair of types all
 * operators, functions with the names and arguments of PostgreSQL's own, and types with their names. Whatever of this
 * runs fails, and is counted.
 */
export async function setTraps(database: TestDatabase): Promise<void> {
  await database.query(`SET search_path = pg_catalog`);
  await database.query(`CREATE SEQUENCE public.trapped`);
  await database.query(trapFunction('trap()', 'void'));
  await database.query(
    `DO $do$
DECLARE
  l text; r text; f record; o text;
BEGIN
  FOREACH l IN ARRAY $1 LOOP
    FOREACH r IN ARRAY $1 LOOP
      EXECUTE format('CREATE FUNCTION public.trap(%s, %s) RETURNS bool LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.trap(); RETURN false; END $f$', l, r);
      FOREACH o IN ARRAY $2 LOOP
        EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.trap)', o, l, r);
      END LOOP;
    END LOOP;
  END LOOP;
  FOR f IN
    SELECT DISTINCT p.proname, oidvectortypes(p.proargtypes) AS arguments, format_type(p.prorettype, NULL) AS result
    FROM pg_proc p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND p.pronargs BETWEEN 1 AND 2
      AND p.prokind IN ('f', 'a')
      AND NOT p.proretset
      AND p.provariadic = 0
      AND p.prorettype NOT IN ('internal'::regtype, 'cstring'::regtype, 'trigger'::regtype, 'void'::regtype)
      AND (SELECT bool_and(t.typtype = 'b') FROM unnest(p.proargtypes) a JOIN pg_type t ON t.oid = a)
      AND (SELECT t.typtype = 'b' FROM pg_type t WHERE t.oid = p.prorettype)
  LOOP
    EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.trap(); RETURN NULL; END $f$', f.proname, f.arguments, f.result);
  END LOOP;
  FOREACH o IN ARRAY $3 LOOP
    EXECUTE format('CREATE DOMAIN public.%I AS pg_catalog.%I CHECK (public.trap() IS NULL)', o, o);
  END LOOP;
END $do$`
      .replace('$1', array(TYPES))
      .replace('$1', array(TYPES))
      .replace('$2', array(OPERATORS))
      .replace('$3', array(DOMAINS)),
  );
}

/** How many traps have run, also those of transactions that were rolled back. */
export async function trappedCount(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ count: number }>(
    `SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int4 AS count FROM public.trapped`,
  );
  return row?.count ?? -1;
}

function trapFunction(signature: string, result: string): string {
  return `CREATE FUNCTION public.${signature} RETURNS ${result} LANGUAGE plpgsql
SET search_path = pg_catalog
AS $f$ BEGIN PERFORM nextval('public.trapped'); RAISE EXCEPTION 'a trap ran'; END $f$`;
}

function array(values: string[]): string {
  return `ARRAY[${values.map((value) => `'${value}'`).join(', ')}]`;
}
