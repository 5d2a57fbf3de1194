import { namesOf, type QualifiedName, quoteIdentifier } from './identifier.js';
import { epochMs } from './instant.js';
import { PG_CRON_HOST, pgCronCommandStart } from './pg-cron-procedure.sql.js';
import type { SqlStatement } from './sql-statement.js';

/* The jobs of pg_cron. Row security shows a role only its own jobs, unless it is a superuser. */

/** pg_cron in this database. */
export interface PgCronRow {
  database: string;
  role: string;
  /** The version of the extension; `null` if this database doesn't have it. */
  version: string | null;
  may_schedule: boolean | null;
  can_log_in: boolean;
  /** `cron.database_name`, `cron.timezone`: `null` if not set, or if this role may not read it. */
  cron_database: string | null;
  time_zone: string | null;
  /** The roles whose views this role may refresh. */
  own_roles: string[];
}

export function selectPgCron(): SqlStatement {
  return {
    text: `SELECT pg_catalog.current_database()::text AS database,
       current_user::text AS role,
       (SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_cron') AS version,
       (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE') FROM pg_catalog.pg_namespace n WHERE n.nspname = 'cron') AS may_schedule,
       (SELECT r.rolcanlogin FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) AS can_log_in,
       (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'cron.database_name') AS cron_database,
       (SELECT s.setting FROM pg_catalog.pg_settings s WHERE s.name = 'cron.timezone') AS time_zone,
       ARRAY(SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(r.oid, 'USAGE')) AS own_roles`,
  };
}

export interface PgCronJobRow {
  /** `null` for a job scheduled without a name. */
  name: string | null;
  schedule: string;
  command: string;
  is_active: boolean;
  /** Whether it is this role's. A superuser sees those of others too. */
  is_own: boolean;
  /** Whether it runs in this database. */
  is_here: boolean;
}

/** The jobs of this database that refresh views of the state schema, and all that have one of the names. */
export function selectPgCronJobs(stateSchema: string, names: string[]): SqlStatement {
  return {
    text: `SELECT j.jobname::text AS name, j.schedule, j.command, j.active AS is_active,
       j.username = current_user::text AS is_own,
       ${isInThisDatabase('j')} AS is_here
FROM cron.job j
WHERE (${isInThisDatabase('j')} AND pg_catalog.starts_with(j.command, $1))
   OR j.jobname::text = ANY ($2::text[])`,
    values: [pgCronCommandStart(stateSchema), names],
  };
}

function isInThisDatabase(job: string): string {
  return `${job}.database = pg_catalog.current_database()::text`;
}

/** All but superusers see no others. */
const IS_OWN_JOB = `j.username = current_user::text`;

/** Whether the library has created a job for views of the state schema. */
export function isOwnCommand(command: string, stateSchema: string): boolean {
  return command.startsWith(pgCronCommandStart(stateSchema));
}

/** Creates a job, or changes the one with that name. Whether it is active doesn't change. */
export function schedulePgCronJob({
  name,
  schedule,
  command,
}: Pick<PgCronJobRow, 'schedule' | 'command'> & { name: string }): SqlStatement {
  return {
    text: 'SELECT cron.schedule($1::text, $2::text, $3::text)',
    values: [name, schedule, command],
  };
}

/** Removes a job if it exists. */
export function unschedulePgCronJob(name: string): SqlStatement {
  return {
    text: `SELECT cron.unschedule(j.jobid)
FROM cron.job j
WHERE ${isInThisDatabase('j')} AND ${IS_OWN_JOB} AND j.jobname::text = $1::text`,
    values: [name],
  };
}

/** Removes a job of the name that somebody has sent to another database: `cron.schedule` would leave it there. */
export function unscheduleElsewhere(name: string): SqlStatement {
  return {
    text: `SELECT cron.unschedule(j.jobid)
FROM cron.job j
WHERE NOT (${isInThisDatabase('j')}) AND ${IS_OWN_JOB} AND j.jobname::text = $1::text`,
    values: [name],
  };
}

export interface OwnViewRow {
  schema_name: string;
  view_name: string;
}

/** Those of the views whose owner this role is, or is a member of. */
export function selectOwnViews(views: QualifiedName[]): SqlStatement {
  return {
    text: `SELECT n.nspname AS schema_name, c.relname AS view_name
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS w(schema_name, view_name)
JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema_name
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.view_name
WHERE pg_catalog.pg_has_role(c.relowner, 'USAGE')`,
    values: namesOf(views),
  };
}

/** A job with its last run. Times are milliseconds since the epoch. */
export interface PgCronRunRow {
  name: string;
  job_id: string;
  is_active: boolean;
  /**
   * The status of the last run: `succeeded`, `failed`, or one that means it is running; `null` if no run is
   * known.
   */
  status: string | null;
  message: string | null;
  started_at: number | null;
  ended_at: number | null;
  /** Whether the last run that has ended failed, without the history's having it; what it says. */
  is_lost: boolean;
  lost_message: string | null;
}

/** How many of the last runs of all jobs are read. */
const RUNS_LOOKED_AT = 10_000;

/**
 * The jobs of these names, each with its last run. A superuser sees those of other roles too: one of its own goes before
 * them.
 *
 * @param views in the order of `names`
 */
export function selectPgCronRuns(
  stateSchema: string,
  views: QualifiedName[],
  names: string[],
): SqlStatement {
  return {
    text: `SELECT w.job_name AS name,
       j.jobid::text AS job_id,
       j.active AS is_active,
       d.status,
       ${ownText('d')} AS message,
       ${epochMs('d.start_time')} AS started_at,
       ${epochMs('d.end_time')} AS ended_at,
       coalesce(ended.status = 'failed' AND NOT EXISTS (
         SELECT
         FROM ${quoteIdentifier(stateSchema)}.refresh_history h
         WHERE h.schema_name = w.schema_name
           AND h.view_name = w.view_name
           AND h.host = '${PG_CRON_HOST}:' || ended.job_pid
           AND h.started_at >= ended.start_time
       ), false) AS is_lost,
       ${ownText('ended')} AS lost_message
FROM ROWS FROM (
  pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[])
) AS w(schema_name, view_name, job_name)
CROSS JOIN LATERAL (
  SELECT own.*
  FROM cron.job own
  WHERE ${isInThisDatabase('own')}
    AND own.jobname::text = w.job_name
    AND (own.username = current_user::text OR pg_catalog.starts_with(own.command, $4))
  ORDER BY own.username = current_user::text DESC, own.jobid
  LIMIT 1
) AS j
LEFT JOIN LATERAL (${lastRun('true')}) AS d ON true
LEFT JOIN LATERAL (${lastRun("r.status IN ('succeeded', 'failed')")}) AS ended ON true`,
    values: [...namesOf(views), names, pgCronCommandStart(stateSchema)],
  };
}

/** The text of a run; `null` where somebody has changed the command: what that says may hold row data. */
function ownText(run: string): string {
  return `CASE WHEN pg_catalog.starts_with(${run}.command, $4) THEN ${run}.return_message END`;
}

function lastRun(condition: string): string {
  return `
  SELECT r.command, r.status, r.return_message, r.start_time, r.end_time, r.job_pid
  FROM cron.job_run_details r
  WHERE r.jobid = j.jobid
    AND r.runid > (SELECT pg_catalog.max(newest.runid) - ${RUNS_LOOKED_AT} FROM cron.job_run_details newest)
    AND ${condition}
  ORDER BY r.runid DESC
  LIMIT 1
`;
}
