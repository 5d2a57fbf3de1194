import { isByPgCron } from '../definition/pg-cron-schedule.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { instant } from '../postgres/optional-instant.js';
import { hasJobs, pgCronJobName } from '../postgres/pg-cron-job.js';
import {
  type PgCronRow,
  type PgCronRunRow,
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

/** The jobs of the views, as far as this role may see them. */
export async function readJobs(
  session: Session,
  stateSchema: string,
  definitions: readonly ViewDefinition[],
): Promise<Map<ViewDefinition, ViewJob>> {
  const scheduled = definitions.filter(isByPgCron);
  if (scheduled.length === 0) {
    return new Map();
  }
  const [server] = await session.query<PgCronRow>(selectPgCron());
  if (!hasJobs(server)) {
    return new Map();
  }
  const names = scheduled.map(({ name }) => pgCronJobName(name));
  const rows = await session.query<PgCronRunRow>(selectPgCronRuns(stateSchema, names));
  const jobs = new Map(rows.map((row) => [row.name, viewJob(row)]));
  return new Map(
    scheduled.flatMap((view) => {
      const job = jobs.get(pgCronJobName(view.name));
      return job === undefined ? [] : [[view, job] as const];
    }),
  );
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
