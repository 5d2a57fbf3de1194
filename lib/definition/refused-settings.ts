/** Settings that would break the promises of a refresh, with the reasons. */
const REFUSED: { reason: string; names: RegExp }[] = [
  {
    reason: "is the library's own: time limits are options of the module",
    names:
      /^(nestjs_materialized_views\..*|statement_timeout|lock_timeout|transaction_timeout|deadlock_timeout|client_connection_check_interval|tcp_.*|idle_.*)$/,
  },
  {
    reason: 'would change what a refresh sees or keep it from writing',
    names:
      /^((default_)?transaction_(isolation|read_only|deferrable)|search_path|row_security|session_replication_role|event_triggers|check_function_bodies|array_nulls|transform_null_equals|ignore_.*|zero_damaged_pages|restrict_nonsystem_relation_kind)$/,
  },
  {
    reason: 'would change whose rights a refresh has',
    names:
      /^(role|session_authorization|is_superuser|allow_.*|lo_compat_privileges|createrole_self_grant)$/,
  },
  {
    reason: 'would change how the library and the server read messages of the other side',
    names:
      /^(client_encoding|standard_conforming_strings|backslash_quote|escape_string_warning|quote_all_identifiers)$/,
  },
  {
    reason: 'would load code into the server',
    names:
      /^((session|local|shared)_preload_libraries|dynamic_library_path|extension_control_path|jit_provider)$/,
  },
  {
    reason: 'would hide a refresh from those who watch the server',
    names:
      /^(application_name|track_.*|stats_fetch_consistency|update_process_title|(pgaudit|pg_stat_statements)\..*)$/,
  },
  {
    reason: "could write what the view reads into the server's log",
    names: /^(log_.*|debug_(print|pretty)_.*|exit_on_error|backtrace_functions)$/,
  },
  {
    reason: 'would put a swapped view elsewhere: use `tablespace` and `accessMethod` of the view',
    names: /^(default_tablespace|default_table_access_method)$/,
  },
];

/** Why a view may not set this for its refreshes; `undefined` if it may. PostgreSQL ignores the case of the name. */
export function refusedSetting(name: string): string | undefined {
  const folded = name.toLowerCase();
  return REFUSED.find(({ names }) => names.test(folded))?.reason;
}
