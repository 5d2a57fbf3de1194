import { isByPgCron } from '../definition/pg-cron-schedule.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { rowName } from '../postgres/identifier.js';
import { instant } from '../postgres/optional-instant.js';
import { hasJobs, pgCronJobName } from '../postgres/pg-cron-job.js';
import {
  type OwnViewRow,
  type PgCronRow,
  type PgCronRunRow,
  selectOwnViews,
  selectPgCron,
  selectPgCronRuns,
} from '../postgres/pg-cron.sql.js';
import type { Session } from '../postgres/session.js';

/** The job of a view with `scheduler: 'pg_cron'`, as pg_cron stores it. */
export interface ViewJob {
  /** In `cron.job`. */
  name: string;
  jobId: string;
  /** Whether pg_cron runs it. `pause` is something else: see `isPaused`. */
  isActive: boolean;
  /** Left out if none is known: `cron.job_run_details` may be emptied, or not written. */
  lastRun?: JobRun;
}

/** A run as pg_cron recorded it, including one that never reached the history. */
export interface JobRun {
  status: 'starting' | 'connecting' | 'sending' | 'running' | 'succeeded' | 'failed';
  /** The server's message; left out if someone has changed the job's command. */
  message?: string;
  /** Left out for a run that never began, because pg_cron could not connect. */
  startedAt?: Date;
  endedAt?: Date;
}

/** Why nothing refreshes a view with `scheduler: 'pg_cron'` at its scheduled times. */
export interface JobProblem {
  /**
   * - `unavailable`: the database no longer has pg_cron, or the role may not use it
   * - `missing`: there is no job
   * - `inactive`: the job is switched off
   * - `failed`: the last run failed before it could record that in the history, for example because pg_cron could
   *   not connect
   */
  reason: 'unavailable' | 'missing' | 'inactive' | 'failed';
  /** As in "the view has a problem: ...". */
  message: string;
}

/** What is known of the job of a view. */
export interface JobReading {
  job?: ViewJob;
  problem?: JobProblem;
}

/**
 * The jobs of those of the views that have one. Of a job that belongs to another role nothing is known, and it is no
 * problem either: only a role that owns the view can say that it is missing.
 */
export async function readJobs(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<Map<ViewDefinition, JobReading>> {
  const scheduled = definitions.filter(isByPgCron);
  if (scheduled.length === 0) {
    return new Map();
  }
  const views = scheduled.map(({ name }) => name);
  const [server] = await session.query<PgCronRow>(selectPgCron());
  const own = new Set((await session.query<OwnViewRow>(selectOwnViews(views))).map(rowName));
  const names = views.map(pgCronJobName);
  const rows = hasJobs(server)
    ? await session.query<PgCronRunRow>(selectPgCronRuns(stateSchema, views, names))
    : [];
  const jobs = new Map(rows.map((row) => [row.name, row]));
  return new Map(
    scheduled.map((view) => [
      view,
      jobReading(jobs.get(pgCronJobName(view.name)), {
        server,
        jobName: pgCronJobName(view.name),
        isOwn: own.has(viewName(view)),
      }),
    ]),
  );
}

function jobReading(
  row: PgCronRunRow | undefined,
  from: { server: PgCronRow | undefined; jobName: string; isOwn: boolean },
): JobReading {
  return row === undefined
    ? { problem: problemWithoutJob(from) }
    : { job: viewJob(row), problem: problemOf(row) };
}

function problemWithoutJob({
  server,
  jobName,
  isOwn,
}: {
  server: PgCronRow | undefined;
  jobName: string;
  isOwn: boolean;
}): JobProblem | undefined {
  if (server?.version === null) {
    return {
      reason: 'unavailable',
      message: `database "${server.database}" does not have the extension pg_cron`,
    };
  }
  if (!isOwn) {
    return undefined;
  }
  return server?.may_schedule === false
    ? { reason: 'unavailable', message: `role "${server.role}" may not use schema "cron"` }
    : { reason: 'missing', message: `pg_cron job "${jobName}" is missing` };
}

function problemOf(row: PgCronRunRow): JobProblem | undefined {
  if (!row.is_active) {
    return { reason: 'inactive', message: `pg_cron job "${row.name}" is not active` };
  }
  return row.is_lost
    ? {
        reason: 'failed',
        message: `the last run of pg_cron job "${row.name}" failed: ${firstLine(row.lost_message)}`,
      }
    : undefined;
}

/** Without the prefix, and the context, of the server's messages. */
export function firstLine(message: string | null | undefined): string {
  const [line = ''] = (message ?? '').trim().split('\n', 1);
  return line.replace(/^(?:ERROR|FATAL): +/, '') || 'it says nothing';
}

function viewJob({ name, job_id: jobId, is_active: isActive, ...run }: PgCronRunRow): ViewJob {
  const lastRun = run.status === null ? undefined : jobRun(run.status, run);
  return { name, jobId, isActive, lastRun };
}

function jobRun(
  status: string,
  {
    message,
    started_at: startedAt,
    ended_at: endedAt,
  }: Pick<PgCronRunRow, 'message' | 'started_at' | 'ended_at'>,
): JobRun {
  return {
    status: status as JobRun['status'],
    message: message?.trim() || undefined,
    startedAt: instant(startedAt),
    endedAt: instant(endedAt),
  };
}
