/*
 * Which storage parameters of the catalog can be written into a statement. A minor release may add its own: 15.20 keeps
 * `pg_attver` with every column, and no other server accepts that. Names that begin with `pg_` belong to the server,
 * like the names of its schemas and roles.
 */

export const VIEW_PARAMETERS = ['security_barrier', 'security_invoker', 'check_option'];

export const TOAST_PARAMETERS = [
  'autovacuum_enabled',
  'autovacuum_parallel_workers',
  'autovacuum_vacuum_threshold',
  'autovacuum_vacuum_max_threshold',
  'autovacuum_vacuum_insert_threshold',
  'autovacuum_vacuum_scale_factor',
  'autovacuum_vacuum_insert_scale_factor',
  'autovacuum_vacuum_cost_delay',
  'autovacuum_vacuum_cost_limit',
  'autovacuum_freeze_min_age',
  'autovacuum_freeze_max_age',
  'autovacuum_freeze_table_age',
  'autovacuum_multixact_freeze_min_age',
  'autovacuum_multixact_freeze_max_age',
  'autovacuum_multixact_freeze_table_age',
  'log_autovacuum_min_duration',
  'vacuum_index_cleanup',
  'vacuum_truncate',
  'vacuum_max_eager_freeze_failure_rate',
];

export const HEAP_PARAMETERS = [
  ...TOAST_PARAMETERS,
  'fillfactor',
  'toast_tuple_target',
  'parallel_workers',
  'user_catalog_table',
  'autovacuum_analyze_threshold',
  'autovacuum_analyze_scale_factor',
  'log_autoanalyze_min_duration',
];

export const COLUMN_PARAMETERS = ['n_distinct', 'n_distinct_inherited'];

/** The parameters of PostgreSQL's own access methods; others have their own. */
export const INDEX_PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  btree: ['fillfactor', 'deduplicate_items', 'vacuum_cleanup_index_scale_factor'],
  hash: ['fillfactor'],
  gist: ['fillfactor', 'buffering'],
  spgist: ['fillfactor'],
  gin: ['fastupdate', 'gin_pending_list_limit'],
  brin: ['pages_per_range', 'autosummarize'],
};

/** An SQL condition on one `name=value` of the catalog: it doesn't belong to the server. */
export function isSomebodys(parameter: string): string {
  return `NOT pg_catalog.starts_with(${parameter}, 'pg_')`;
}

/** The parameters without the server's own; NULL if none is left. */
export function somebodysParameters(options: string): string {
  return `(SELECT pg_catalog.array_agg(o) FROM pg_catalog.unnest(${options}) AS o WHERE ${isSomebodys('o')})`;
}

/**
 * The same for an index definition from pg_get_indexdef, or a part of it. Its WITH clause can be generated from the
 * parameters, so it is found without searching for words.
 */
export function withoutServersOwn(definition: string, options: string): string {
  return `CASE
             WHEN EXISTS (SELECT FROM pg_catalog.unnest(${options}) AS o WHERE NOT (${isSomebodys('o')}))
             THEN pg_catalog.replace(
               ${definition}, ${withClause(options, 'true')}, coalesce(${withClause(options, isSomebodys('p.option_name'))}, '')
             )
             ELSE ${definition}
           END`;
}

function withClause(options: string, condition: string): string {
  return `(SELECT pg_catalog.format(' WITH (%s)', pg_catalog.string_agg(pg_catalog.format('%I=%s', p.option_name,
                 CASE WHEN pg_catalog.quote_ident(p.option_value) = p.option_value THEN p.option_value ELSE pg_catalog.quote_literal(p.option_value) END
               ), ', ')) FROM pg_catalog.pg_options_to_table(${options}) AS p WHERE ${condition} HAVING pg_catalog.count(*) > 0)`;
}

/** Names as a list in an SQL condition. */
export function listOf(names: readonly string[]): string {
  return names.map((name) => `'${name}'`).join(', ');
}
