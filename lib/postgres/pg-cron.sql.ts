import { epochMs } from './instant.js';
import { pgCronCommandStart } from './pg-cron-procedure.sql.js';
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
}

/** The role's jobs in this database that refresh views of the state schema, or that have one of the names. */
export function selectPgCronJobs(stateSchema: string, names: string[]): SqlStatement {
  return {
    text: `SELECT j.jobname::text AS name, j.schedule, j.command, j.active AS is_active
FROM cron.job j
WHERE ${IS_OWN_JOB}
  AND (pg_catalog.starts_with(j.command, $1) OR j.jobname::text = ANY ($2::text[]))`,
    values: [pgCronCommandStart(stateSchema), names],
  };
}

/** All but the superuser see no others. */
const IS_OWN_JOB = `j.database = pg_catalog.current_database()::text AND j.username = current_user::text`;

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
WHERE ${IS_OWN_JOB} AND j.jobname::text = $1::text`,
    values: [name],
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
}

/** How many of the last runs of all jobs are read. */
const RUNS_LOOKED_AT = 10_000;

/** The text of a run is left out where somebody has changed the command: what that says may hold row data. */
export function selectPgCronRuns(stateSchema: string, names: string[]): SqlStatement {
  return {
    text: `SELECT j.jobname::text AS name,
       j.jobid::text AS job_id,
       j.active AS is_active,
       d.status,
       CASE WHEN pg_catalog.starts_with(d.command, $2::text) THEN d.return_message END AS message,
       ${epochMs('d.start_time')} AS started_at,
       ${epochMs('d.end_time')} AS ended_at
FROM cron.job j
LEFT JOIN LATERAL (
  SELECT r.command, r.status, r.return_message, r.start_time, r.end_time
  FROM cron.job_run_details r
  WHERE r.jobid = j.jobid
    AND r.runid > (SELECT pg_catalog.max(newest.runid) - ${RUNS_LOOKED_AT} FROM cron.job_run_details newest)
  ORDER BY r.runid DESC
  LIMIT 1
) AS d ON true
WHERE ${IS_OWN_JOB} AND j.jobname::text = ANY ($1::text[])`,
    values: [names, pgCronCommandStart(stateSchema)],
  };
}
