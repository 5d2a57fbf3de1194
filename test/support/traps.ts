import type { TestDatabase } from './test-database.js';

/** Base types that occur in the library's statements. */
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

const PREFIX_OPERATORS = ['+', '-', '~', '@', '!!', '|/'];

const OPERATORS = [
  ...['=', '<>', '<', '<=', '>', '>=', '+', '-', '*', '/', '%'],
  ...['||', '~', '!~', '~~', '->', '->>', '<<', '|', '&', '@>'],
];

/** Type names that a statement might use without a schema. */
const DOMAINS = ['text', 'int4', 'int8', 'float8', 'oid', 'bool', 'jsonb', 'timestamptz', 'uuid'];

/**
 * Creates in the schema `public` what any role with CREATE on it could create: operators for each type and each pair of types,
 * functions and aggregates with the names and arguments of PostgreSQL's own (polymorphic ones for each type), and types with
 * PostgreSQL's names. Each of them fails when it runs, and is counted.
 */
export async function setTraps(database: TestDatabase): Promise<void> {
  await database.query(`SET search_path = pg_catalog`);
  await database.query(`CREATE SEQUENCE public.trapped`);
  await database.query(trapFunction('trap()', 'void'));
  await database.query(`DO $do$
DECLARE
  types text[] := ${array(TYPES)};
  l text; r text; o text; f record; body text := 'LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.trap(); RETURN NULL; END $f$';
BEGIN
  EXECUTE format('CREATE FUNCTION public.trap_step(bool) RETURNS bool %s', body);
  FOREACH l IN ARRAY types LOOP
    EXECUTE format('CREATE FUNCTION public.trap(%s) RETURNS bool %s', l, body);
    EXECUTE format('CREATE FUNCTION public.trap_step(bool, %s) RETURNS bool %s', l, body);
    FOREACH o IN ARRAY ${array(PREFIX_OPERATORS)} LOOP
      EXECUTE format('CREATE OPERATOR public.%s (RIGHTARG = %s, FUNCTION = public.trap)', o, l);
    END LOOP;
    FOREACH r IN ARRAY types LOOP
      EXECUTE format('CREATE FUNCTION public.trap(%s, %s) RETURNS bool %s', l, r, body);
      EXECUTE format('CREATE FUNCTION public.trap_step(bool, %s, %s) RETURNS bool %s', l, r, body);
      FOREACH o IN ARRAY ${array(OPERATORS)} LOOP
        EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.trap)', o, l, r);
      END LOOP;
    END LOOP;
  END LOOP;
  FOR f IN
    WITH called AS (
      SELECT p.proname, p.prokind, p.proretset,
             CASE WHEN result.typtype = 'b' THEN format_type(result.oid, NULL) ELSE 'bool' END AS result,
             (SELECT string_agg(CASE WHEN t.typtype = 'b' THEN format_type(t.oid, NULL) ELSE '?' END, ', ' ORDER BY a.position)
              FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS a(type, position)
              JOIN pg_type t ON t.oid = a.type) AS arguments,
             (SELECT count(*) FROM unnest(p.proargtypes::oid[]) AS a(type)
              JOIN pg_type t ON t.oid = a.type AND t.typtype <> 'b') AS open_count,
             p.proargtypes, p.pronargs
      FROM pg_proc p
      JOIN pg_type result ON result.oid = p.prorettype
      WHERE p.pronamespace = 'pg_catalog'::regnamespace
        -- TypeORM calls these as it connects.
        AND p.proname NOT IN ('version', 'current_database', 'current_schema')
        AND p.prokind IN ('f', 'a')
        AND p.pronargs <= 6
        AND result.typname NOT IN ('internal', 'cstring', 'trigger', 'event_trigger', 'language_handler', 'fdw_handler', 'table_am_handler', 'index_am_handler', 'tsm_handler')
        AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype::oid, 'cstring'::regtype::oid]
    )
    SELECT DISTINCT c.proname, c.prokind, c.proretset, c.result,
           replace(coalesce(c.arguments, ''), '?', coalesce(t.type, '')) AS arguments, c.pronargs
    FROM called c
    LEFT JOIN unnest(types) AS t(type) ON c.open_count > 0
  LOOP
    BEGIN
      IF f.prokind = 'f' THEN
        EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS %s%s LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.trap(); RETURN%s; END $f$',
          f.proname, f.arguments, CASE WHEN f.proretset THEN 'SETOF ' ELSE '' END, f.result, CASE WHEN f.proretset THEN '' ELSE ' NULL' END);
      ELSE
        EXECUTE format('CREATE AGGREGATE public.%I(%s) (SFUNC = public.trap_step, STYPE = bool)', f.proname, coalesce(nullif(f.arguments, ''), '*'));
      END IF;
    EXCEPTION
      -- Of two that differ in what else their arguments may be; or a state function that takes other types.
      WHEN duplicate_function OR undefined_function OR datatype_mismatch THEN NULL;
    END;
  END LOOP;
  FOREACH o IN ARRAY ${array(DOMAINS)} LOOP
    EXECUTE format('CREATE DOMAIN public.%I AS pg_catalog.%I CHECK (public.trap() IS NULL)', o, o);
  END LOOP;
END $do$`);
}

/** How many traps have run, including those in transactions that were rolled back. */
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
