import type { SqlStatement } from './sql-statement.js';

/*
 * The settings that the library's statements run with. A role or a database may have any settings, and anyone who can
 * create objects in a schema of the search_path can put an operator there that matches better than PostgreSQL's. So
 * names resolve in pg_catalog only, and PostgreSQL's texts are the same everywhere.
 *
 * What an application's query computes depends on settings too. So the application's text is parsed and run with
 * the application's settings, which are kept in custom settings of the library until the transaction ends.
 */

/**
 * The schemas that names resolve in. pg_temp is listed last, because otherwise it would come first.
 */
const OWN_SEARCH_PATH = 'pg_catalog, pg_temp';

/** Replaced by the application's values while its text runs. */
const OWN_READING: Record<string, string> = {
  search_path: OWN_SEARCH_PATH,
  // Backslashes in our literals are backslashes.
  standard_conforming_strings: 'on',
  // Numbers are printed with all their digits.
  extra_float_digits: '1',
  // A role may have set the costs above which JIT compiles to 0.
  jit: 'off',
  // The library's own tables use the access method and tablespace that every database has.
  default_table_access_method: 'heap',
  default_tablespace: '',
};

/**
 * Kept for the application's text too: with other values, PostgreSQL's own REFRESH ... CONCURRENTLY fails, or the
 * texts of definitions differ.
 */
const OWN_ALWAYS: Record<string, string> = { quote_all_identifiers: 'off' };

/**
 * The same for settings that not every server has: a comparison reads plain views, which a role may not be allowed to.
 */
const OWN_WHERE_KNOWN: Record<string, string> = { restrict_nonsystem_relation_kind: '' };

const OWN: Record<string, string> = { ...OWN_READING, ...OWN_ALWAYS };

/** Where the application's value of a setting is kept while the library uses its own. */
function keptName(name: string): string {
  return `nestjs_materialized_views.${name}`;
}

/** The name under which a setting of the application is set or read. */
export function applicationSetting(name: string): string {
  return Object.hasOwn(OWN, name.toLowerCase()) ? keptName(name.toLowerCase()) : name;
}

/** The application's value of a setting, as SQL, even if nothing is kept. */
export function applicationValue(name: string): string {
  const kept = `pg_catalog.current_setting('${keptName(name)}', true)`;
  return Object.hasOwn(OWN, name)
    ? `coalesce(nullif(${kept}, ''), pg_catalog.current_setting('${name}'))`
    : `pg_catalog.current_setting('${name}')`;
}

/**
 * Keeps the application's settings and sets the library's, until the transaction ends.
 *
 * @param others settings that are set with them, and of which nothing is kept
 */
export function takeOwnSettings(others: Record<string, string> = {}): SqlStatement {
  const keep = Object.keys(OWN).map((name) =>
    setConfig(keptName(name), `pg_catalog.current_setting('${name}')`),
  );
  return select([
    ...keep,
    ...Object.keys(OWN_WHERE_KNOWN).map((name) =>
      setConfig(keptName(name), `coalesce(pg_catalog.current_setting('${name}', true), '')`),
    ),
    ...own({ ...OWN, ...others }),
    ...Object.entries(OWN_WHERE_KNOWN).map(([name, value]) => whereKnown(name, `'${value}'`)),
  ]);
}

/** Restores the application's settings at the end of its own transaction. */
export function giveBackSettings(): SqlStatement {
  return select([
    ...kept(OWN),
    ...Object.keys(OWN_WHERE_KNOWN).map((name) =>
      whereKnown(name, `pg_catalog.current_setting('${keptName(name)}')`),
    ),
  ]);
}

/** The statements that run a statement with the settings that it needs. */
export function withItsSettings(statement: SqlStatement): SqlStatement[] {
  return statement.hasApplicationText === true
    ? [select(kept(OWN_READING)), statement, select(own(OWN_READING))]
    : [statement];
}

function own(settings: Record<string, string>): string[] {
  return Object.entries(settings).map(([name, value]) => setConfig(name, `'${value}'`));
}

function kept(settings: Record<string, string>): string[] {
  return Object.keys(settings).map((name) =>
    setConfig(name, `pg_catalog.current_setting('${keptName(name)}')`),
  );
}

function whereKnown(name: string, value: string): string {
  return `CASE WHEN pg_catalog.current_setting('${name}', true) IS NOT NULL THEN ${setConfig(name, value)} END`;
}

function setConfig(name: string, value: string): string {
  return `pg_catalog.set_config('${name}', ${value}, true)`;
}

function select(expressions: string[]): SqlStatement {
  return { text: `SELECT ${expressions.join(',\n       ')}` };
}
