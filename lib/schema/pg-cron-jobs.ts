import type { ResolvedOptions } from '../definition/module.options.js';
import { isUtc, pgCronSchedule } from '../definition/pg-cron-schedule.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { PgCronUnavailableError } from '../errors/schema.errors.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { quoteIdentifier } from '../postgres/identifier.js';
import { applicationSetting } from '../postgres/own-settings.sql.js';
import { pgCronJobName } from '../postgres/pg-cron-job.js';
import type { PgCronRow } from '../postgres/pg-cron.sql.js';
import { pgCronCommand } from '../postgres/pg-cron-procedure.sql.js';

/** A pg_cron job as the code declares it. */
export interface PgCronJob {
  name: string;
  schedule: string;
  command: string;
}

/** The module options that apply to a job. */
export type PgCronOptions = Pick<
  ResolvedOptions,
  'stateSchema' | 'lockTimeoutMs' | 'statementTimeoutMs' | 'history'
>;

/**
 * The job that a view with `scheduler: 'pg_cron'` should have. Its command contains everything that its runs
 * need.
 */
export function pgCronJob(view: ViewDefinition, options: PgCronOptions): PgCronJob {
  const { text, ...schedule } = pgCronSchedule(view.schedule?.cron ?? '');
  const { mode, strict, settings } = view.refresh;
  const { lockTimeoutMs, statementTimeoutMs, history } = options;
  const job = {
    lockKey: refreshLockKey(view.name),
    schedule,
    mode,
    isStrict: strict,
    settings: Object.fromEntries(
      Object.entries(settings).map(([name, value]) => [applicationSetting(name), value]),
    ),
    lockTimeoutMs,
    // How long another refresh may take; absent if there is no limit.
    ...(statementTimeoutMs > 0 && { patienceMs: statementTimeoutMs + lockTimeoutMs }),
    history,
  };
  const { schema, name } = view.name;
  return {
    name: pgCronJobName(view.name),
    schedule: text,
    command: pgCronCommand(options.stateSchema, [schema, name, JSON.stringify(job)]),
  };
}

/**
 * Checks whether jobs can be kept in step here. Missing privileges of the role matter only for its
 * own views.
 *
 * @throws PgCronUnavailableError naming what is missing and how to fix it
 */
export function requirePgCron(
  view: ViewDefinition,
  server: PgCronRow,
  { isOwn }: { isOwn: boolean },
): void {
  const { role, version, time_zone: timeZone } = server;
  const { may_schedule: maySchedule, can_log_in: canLogIn } = server;
  const refuse = (reason: string, hint: string): never => {
    throw new PgCronUnavailableError(
      `Materialized view "${viewName(view)}" cannot be refreshed by pg_cron: ${reason}. Nothing has been changed.`,
      { view: viewName(view), hint },
    );
  };
  if (version === null) {
    refuse(...missingExtension(server));
  }
  if (isOwn && !maySchedule) {
    refuse(
      `role "${role}" may not use schema "cron"`,
      `Have a superuser run: GRANT USAGE ON SCHEMA cron TO ${quoteIdentifier(role)};`,
    );
  }
  if (isOwn && !canLogIn) {
    refuse(
      `pg_cron runs a job as the role that makes it, and "${role}" may not log in`,
      'Synchronize as a role that owns the view and has LOGIN.',
    );
  }
  if (timeZone !== null && !isUtc(timeZone)) {
    refuse(
      `the pg_cron of this server reads schedules in the time zone "${timeZone}" (cron.timezone), and all processes share ticks in UTC`,
      "Set cron.timezone = 'GMT' and restart the server, or leave `scheduler: 'pg_cron'` out.",
    );
  }
}

function missingExtension({ database, cron_database: home }: PgCronRow): [string, string] {
  if (home !== null && home !== database) {
    return [
      `pg_cron lives in database "${home}" of this server (cron.database_name), and jobs can only be kept in step from there, not from "${database}"`,
      `Set cron.database_name = '${database}', restart the server and run CREATE EXTENSION pg_cron there, or leave \`scheduler: 'pg_cron'\` out.`,
    ];
  }
  return [
    `database "${database}" does not have the extension pg_cron`,
    `Install it, set shared_preload_libraries = 'pg_cron' and cron.database_name = '${database}', restart the server, and have a superuser run: CREATE EXTENSION pg_cron;`,
  ];
}
