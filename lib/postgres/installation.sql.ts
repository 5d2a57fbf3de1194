import { CAPTURE_FUNCTIONS, createCaptureFunctions } from './capture.sql.js';
import { CHANGE_FUNCTIONS, createChangeFunctions } from './change.sql.js';
import { quoteIdentifier } from './identifier.js';
import { createRefreshConditions, REFRESH_CONDITIONS } from './refresh.sql.js';
import type { SqlStatement } from './sql-statement.js';

/*
 * The library's own tables and functions. Each version only adds to the one before, and removes nothing: during a
 * rolling deployment an older release has to go on working beside a newer one. Each statement works also where its
 * work is done already, because a generated migration contains it too.
 */

/** The version to which this release brings the tables. */
export const INSTALLATION_VERSION = 2;

/** The parts of each version: tables, columns of `view_state`, and functions. No name occurs twice. */
const PARTS: Record<number, string[]> = {
  1: ['installation', 'view_state', 'refresh_history'],
  2: ['change_log', 'capture', ...CAPTURE_FUNCTIONS, ...CHANGE_FUNCTIONS, REFRESH_CONDITIONS],
};

export interface CompleteVersionRow {
  /** 0 for none. */
  version: number;
}

/** The highest version of which all parts are there, so that what was dropped by hand is made again. */
export function selectCompleteVersion(stateSchema: string): SqlStatement {
  const parts = Object.entries(PARTS).flatMap(([version, names]) =>
    names.map((name) => [Number(version), name] as const),
  );
  return {
    text: `SELECT coalesce(min(part.version) - 1, ${INSTALLATION_VERSION}) AS version
FROM ROWS FROM (pg_catalog.unnest($2::int[]), pg_catalog.unnest($3::text[])) AS part(version, name)
WHERE part.name NOT IN (
  SELECT c.relname
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1
  UNION ALL
  SELECT a.attname
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = $1 AND c.relname = 'view_state'
  UNION ALL
  SELECT p.proname
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = $1
)`,
    values: [stateSchema, parts.map(([version]) => version), parts.map(([, name]) => name)],
  };
}

export interface InstallationVersionRow {
  version: number;
}

export function selectInstallationVersion(stateSchema: string): SqlStatement {
  return {
    text: `SELECT coalesce(max(version), 0)::int AS version
FROM ${quoteIdentifier(stateSchema)}.installation`,
  };
}

/** The statements that bring the tables from the version before to the given one. */
export function installVersion(stateSchema: string, version: number): SqlStatement[] {
  const schema = quoteIdentifier(stateSchema);
  const statements = VERSIONS[version]?.(schema) ?? [];
  return [
    ...statements.map((text) => ({ text })),
    {
      text: `INSERT INTO ${schema}.installation (version) VALUES ($1) ON CONFLICT DO NOTHING`,
      values: [version],
    },
  ];
}

const VERSIONS: Record<number, (quotedSchema: string) => string[]> = {
  1: (quotedSchema) => [
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.installation (
  version int PRIMARY KEY,
  installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
)`,
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.view_state (
  schema_name text NOT NULL,
  view_name text NOT NULL,
  known_since timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_tick timestamptz,
  last_started_at timestamptz,
  last_success_at timestamptz,
  last_run_id uuid,
  last_mode text,
  last_mode_reason text,
  watermark pg_snapshot,
  failure_count int NOT NULL DEFAULT 0,
  last_failure_at timestamptz,
  last_error_code text,
  not_before timestamptz,
  paused_at timestamptz,
  is_own boolean NOT NULL DEFAULT false,
  own_indexes text[] NOT NULL DEFAULT '{}',
  declared_hash text,
  fingerprint text,
  definition_version bigint,
  PRIMARY KEY (schema_name, view_name)
)`,
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.refresh_history (
  run_id uuid PRIMARY KEY,
  schema_name text NOT NULL,
  view_name text NOT NULL,
  trigger text NOT NULL,
  tick timestamptz,
  outcome text NOT NULL,
  attempt int NOT NULL DEFAULT 1,
  mode text,
  mode_reason text,
  inserted_count bigint,
  deleted_count bigint,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL,
  duration_ms float8 GENERATED ALWAYS AS (extract(epoch FROM finished_at - started_at) * 1000) STORED,
  error_code text,
  error_message text,
  host text NOT NULL
)`,
    `CREATE INDEX IF NOT EXISTS refresh_history_view ON ${quotedSchema}.refresh_history (schema_name, view_name, started_at DESC)`,
  ],
  2: (quotedSchema) => [
    `ALTER TABLE ${quotedSchema}.view_state
  ADD COLUMN IF NOT EXISTS last_unchanged_at timestamptz,
  ADD COLUMN IF NOT EXISTS source_signature text,
  ADD COLUMN IF NOT EXISTS capture jsonb`,
    /*
     * Append-only, and without a unique index, by which writers would wait for each other. They would wait as well
     * while VACUUM truncates the table. Without a unique index it needs another replica identity, or it could not be
     * deleted from while there is a publication of all tables.
     */
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.change_log (
  xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  source oid NOT NULL,
  kind text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = false)`,
    `ALTER TABLE ${quotedSchema}.change_log REPLICA IDENTITY FULL`,
    `CREATE INDEX IF NOT EXISTS change_log_source ON ${quotedSchema}.change_log (source, xid)`,
    ...createCaptureFunctions(quotedSchema),
    ...createChangeFunctions(quotedSchema),
    createRefreshConditions(quotedSchema),
  ],
};
