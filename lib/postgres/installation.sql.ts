import { CAPTURE_FUNCTIONS } from './capture.sql.js';
import { VIEW_CHANGES } from './change.sql.js';
import { CLAIM_TICKS } from './claim.sql.js';
import { COMPUTED, foreignColumns, mendComputedColumns } from './computed-column.sql.js';
import { quoteIdentifier } from './identifier.js';
import { ASK_LEASE } from './lease.sql.js';
import { LAST_CRON_TICK, REFRESH_BY_PG_CRON } from './pg-cron-procedure.sql.js';
import { LOOK_STATE } from './look.sql.js';
import { REFRESH_CONDITIONS } from './refresh.sql.js';
import { SOURCE_STATE } from './source-state.sql.js';
import type { SqlStatement } from './sql-statement.js';
import { BODY_HASH, bodyHash, type StoredFunction } from './stored-function.sql.js';
import { WAKE_UP_FUNCTION } from './wake-up.sql.js';

/*
 * The library's own tables and functions. Each version only adds to the previous one and removes nothing: during a
 * rolling deployment, an older release must keep working beside a newer one. Each statement can be run again,
 * because a generated migration contains it too.
 */

/** The version that this release upgrades the tables to. A release that changes a trigger function raises it. */
export const INSTALLATION_VERSION = 9;

/** The parts of each version: tables, indexes, and columns of `view_state`. No name occurs twice. */
const PARTS: Record<number, string[]> = {
  1: ['installation', 'view_state', 'refresh_history'],
  2: ['change_log', 'capture'],
  4: ['applications'],
  5: ['refresh_history_outcome'],
  6: ['relation_kind'],
  7: ['depends_on'],
  8: ['lease'],
  9: ['claimed_tick', 'claimed_at'],
};

/** Each exists under its name, with its text. */
const CALLED = [
  SOURCE_STATE,
  VIEW_CHANGES,
  LOOK_STATE,
  REFRESH_CONDITIONS,
  LAST_CRON_TICK,
  REFRESH_BY_PG_CRON,
  ASK_LEASE,
  CLAIM_TICKS,
];

/** They have the text of the newest release that has booted here. */
const TRIGGERED = [...CAPTURE_FUNCTIONS, WAKE_UP_FUNCTION];

export interface CompleteVersionRow {
  /** 0 for none. */
  version: number;
  /** Whether the trigger functions have this release's text. */
  has_own_triggered: boolean;
}

/**
 * The highest version whose parts all exist, so that anything dropped or replaced by hand is created again.
 * Functions are parts of the last version.
 */
export function selectCompleteVersion(stateSchema: string): SqlStatement {
  const parts = Object.entries(PARTS).flatMap(([version, names]) =>
    names.map((name) => [Number(version), name] as const),
  );
  return {
    text: `WITH functions AS (
  SELECT p.proname::text AS name, ${BODY_HASH} AS hash
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = $1
)
SELECT least(
         ${INSTALLATION_VERSION},
         (SELECT min(part.version) - 1
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
          )),
         (SELECT ${INSTALLATION_VERSION - 1}
          WHERE EXISTS (${missingFunctions('$4', '$5')})
             OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($6::text[])) AS part(name)
                        WHERE part.name NOT IN (SELECT f.name FROM functions f))
             OR EXISTS (SELECT FROM ${foreignColumns('$1')}))
       ) AS version,
       NOT EXISTS (${missingFunctions('$6', '$7')}) AS has_own_triggered`,
    values: [
      stateSchema,
      parts.map(([version]) => version),
      parts.map(([, name]) => name),
      ...namesAndHashes(CALLED, stateSchema),
      ...namesAndHashes(TRIGGERED, stateSchema),
    ],
  };
}

function missingFunctions(names: string, hashes: string): string {
  return `SELECT pair.name, pair.hash
          FROM ROWS FROM (pg_catalog.unnest(${names}::text[]), pg_catalog.unnest(${hashes}::text[])) AS pair(name, hash)
          EXCEPT SELECT f.name, f.hash FROM functions f`;
}

function namesAndHashes(functions: StoredFunction[], stateSchema: string): [string[], string[]] {
  return [
    functions.map(({ name }) => name),
    functions.map(({ body }) => bodyHash(body(stateSchema))),
  ];
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

/**
 * The statements that upgrade the tables from the given version to this release's. Rows come last, because computed
 * columns may have to be repaired first.
 */
export function installAfter(stateSchema: string, version: number): SqlStatement[] {
  const schema = quoteIdentifier(stateSchema);
  const missing = [...Array(INSTALLATION_VERSION).keys()]
    .map((before) => before + 1)
    .filter((each) => each > version);
  return missing.length === 0
    ? []
    : [
        ...missing.flatMap((each) => VERSIONS[each]?.(schema) ?? []).map((text) => ({ text })),
        ...finishInstallation(stateSchema),
        ...missing.map((each) => ({
          text: `INSERT INTO ${schema}.installation (version) VALUES ($1) ON CONFLICT DO NOTHING`,
          values: [each],
        })),
      ];
}

/** Part of the last version, whatever that adds. */
function finishInstallation(stateSchema: string): SqlStatement[] {
  return [
    mendComputedColumns(stateSchema),
    ...[...TRIGGERED, ...CALLED].flatMap(({ create }) => create(stateSchema)),
  ];
}

const VERSIONS: Record<number, (quotedSchema: string) => string[]> = {
  1: (quotedSchema) => [
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.installation (
  version int PRIMARY KEY,
  installed_at timestamptz NOT NULL ${COMPUTED.installed_at}
)`,
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.view_state (
  schema_name text NOT NULL,
  view_name text NOT NULL,
  known_since timestamptz NOT NULL ${COMPUTED.known_since},
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
  duration_ms float8 ${COMPUTED.duration_ms},
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
     * Append-only, and without a unique index, which would make writers wait for each other. Writers would also wait
     * while VACUUM truncates the table. Without a unique index it needs another replica identity: otherwise nothing
     * could be deleted while a publication of all tables exists.
     */
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.change_log (
  xid xid8 NOT NULL ${COMPUTED.xid},
  changed_at timestamptz NOT NULL ${COMPUTED.changed_at},
  source oid NOT NULL,
  kind text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, vacuum_truncate = false)`,
    `ALTER TABLE ${quotedSchema}.change_log REPLICA IDENTITY FULL`,
    `CREATE INDEX IF NOT EXISTS change_log_source ON ${quotedSchema}.change_log (source, xid)`,
  ],
  4: (quotedSchema) => [
    `ALTER TABLE ${quotedSchema}.view_state ADD COLUMN IF NOT EXISTS applications text[]`,
  ],
  /* Finds the runs of one outcome without scanning the others: a history may have millions of skipped ticks. */
  5: (quotedSchema) => [
    `CREATE INDEX IF NOT EXISTS refresh_history_outcome ON ${quotedSchema}.refresh_history (schema_name, view_name, outcome, started_at DESC)`,
  ],
  6: (quotedSchema) => [
    `ALTER TABLE ${quotedSchema}.view_state ADD COLUMN IF NOT EXISTS relation_kind text`,
  ],
  7: (quotedSchema) => [
    `ALTER TABLE ${quotedSchema}.view_state ADD COLUMN IF NOT EXISTS depends_on text[]`,
  ],
  8: (quotedSchema) => [
    `CREATE TABLE IF NOT EXISTS ${quotedSchema}.lease (
  name text PRIMARY KEY,
  holder text,
  renewed_at timestamptz,
  rested_at timestamptz,
  rest_ms float8,
  next_turn_at timestamptz
)`,
  ],
  9: (quotedSchema) => [
    `ALTER TABLE ${quotedSchema}.view_state
  ADD COLUMN IF NOT EXISTS claimed_tick timestamptz,
  ADD COLUMN IF NOT EXISTS claimed_at timestamptz`,
  ],
};
