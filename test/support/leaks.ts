/** A row value that no message may contain. It is also a valid identifier. */
export const MARKER = 'zq_marker_77';

/** A way to get a row value into a PostgreSQL error. */
export interface Leak {
  name: string;
  /** SQL on the column `secret` that fails for MARKER. */
  expression: string;
  /** SQL to run before the view is created. */
  setup?: string;
}

/** Codes that a function can raise. The library handles some of them specially. */
const RAISED_CODES = [
  'P0001',
  'P0004',
  '21000',
  '22012',
  '22023',
  '23505',
  '23514',
  '2BP01',
  '3F000',
  '42501',
  '42703',
  '42809',
  '42883',
  '42P01',
  '53400',
  '55000',
  '57014',
  'AB123',
  'XX000',
];

/** Codes after which the library retries. Each takes seconds. */
const TRANSIENT_CODES = ['25006', '40001', '40P01', '53300', '55P03'];

/** Fields that RAISE can set in addition to the message. */
const RAISED_FIELDS = ['DETAIL', 'HINT', 'COLUMN', 'CONSTRAINT', 'DATATYPE', 'TABLE', 'SCHEMA'];

const EXPRESSIONS: Record<string, string> = {
  'a cast to int': 'secret::int',
  'a cast to an array': 'secret::int[]',
  'a cast to date': 'secret::date',
  'a cast to uuid': 'secret::uuid',
  'a cast to json': 'secret::json',
  'a cast to inet': 'secret::inet',
  'a cast to an enum': 'secret::row_data_mood',
  'a cast to a domain': 'secret::row_data_short',
  'a cast to regclass': 'secret::regclass::oid',
  'a cast to a schema': "(secret || '.t')::regclass::oid",
  'a cast to regtype': 'secret::regtype::oid',
  'a cast to regproc': 'secret::regproc::oid',
  'a cast to regrole': 'secret::regrole::oid',
  'a cast to regnamespace': 'secret::regnamespace::oid',
  'a cast to regconfig': 'secret::regconfig::oid',
  'a cast to regcollation': 'secret::regcollation::oid',
  'a sequence': 'nextval(secret)',
  'a serial sequence': "pg_get_serial_sequence(secret, 'x')",
  'a setting': 'current_setting(secret)',
  'a new setting': "set_config(secret, 'x', true)",
  'a privilege': "has_table_privilege(secret, 'pg_class', 'SELECT')",
  'a cast to interval': 'secret::interval',
  'an encoding': "convert_from('x', secret)",
  'a format': "encode('x', secret)",
  'a file': 'pg_read_file(secret)',
  'a regular expression': "regexp_replace('x', '(' || secret, '')",
  'dynamic SQL without a function':
    "query_to_xml('SELECT * FROM ' || secret, true, true, '')::text",
  'a long value': '(repeat(secret, 3))::varchar(100)::row_data_short',
};

const plpgsql = (body: string): string => `LANGUAGE plpgsql AS $body$ BEGIN ${body} END $body$`;

/** Function bodies, each for a function of its own. */
const BODIES: Record<string, string> = {
  ...Object.fromEntries(
    [...RAISED_CODES, ...TRANSIENT_CODES].map((code) => [
      `RAISE with ${code}`,
      plpgsql(`RAISE EXCEPTION 'not for %', v USING ERRCODE = '${code}';`),
    ]),
  ),
  ...Object.fromEntries(
    RAISED_FIELDS.map((field) => [
      `RAISE with ${field}`,
      plpgsql(`RAISE EXCEPTION USING MESSAGE = v, ${field} = v, ERRCODE = 'unique_violation';`),
    ]),
  ),
  'an ASSERT': plpgsql('ASSERT false, v; RETURN 1;'),
  'a RAISE that is raised again': plpgsql(
    `BEGIN RAISE EXCEPTION '%', v; EXCEPTION WHEN OTHERS THEN RAISE; END;`,
  ),
  'a table in dynamic SQL': plpgsql(`EXECUTE 'SELECT 1 FROM ' || v; RETURN 1;`),
  'a column in dynamic SQL': plpgsql(`EXECUTE 'SELECT ' || v; RETURN 1;`),
  'a function in dynamic SQL': plpgsql(`EXECUTE 'SELECT ' || v || '()'; RETURN 1;`),
  'a type in dynamic SQL': plpgsql(`EXECUTE 'SELECT NULL::' || v; RETURN 1;`),
  'a library in dynamic SQL': plpgsql(`EXECUTE format('LOAD %L', v); RETURN 1;`),
  'a syntax error in dynamic SQL': plpgsql(`EXECUTE 'SELECT 1 ' || v || ' FROM FROM'; RETURN 1;`),
  'a cast in a function': plpgsql('RETURN v::int;'),
  'a cast in a SQL function': `LANGUAGE sql IMMUTABLE AS 'SELECT v::int'`,
  'a cast in a SQL function that is not inlined': `LANGUAGE sql VOLATILE STRICT SECURITY DEFINER AS 'SELECT v::int'`,
};

function ofBody([name, body]: [string, string], position: number): Leak {
  const leaking = `public.row_data_leak_${position}`;
  return {
    name,
    expression: `${leaking}(secret)`,
    setup: `CREATE FUNCTION ${leaking}(v text) RETURNS int ${body};`,
  };
}

export const LEAK_TYPES = `
  CREATE TYPE row_data_mood AS ENUM ('fine');
  CREATE DOMAIN row_data_short AS text CHECK (length(VALUE) < 3);
`;

export const LEAKS: readonly Leak[] = [
  ...Object.entries(EXPRESSIONS).map(([name, expression]) => ({ name, expression })),
  ...Object.entries(BODIES).map(ofBody),
];
