import { ADVICE } from '../../postgres/advice.sql.js';
import { firstLine } from '../../status/job-status.js';
import type { ViewStatus } from '../../status/view-status.js';
import type { Finding } from './finding.js';

/** What is wrong with the pg_cron job that refreshes a view. Pure. */
export function jobFindings({ view, job }: ViewStatus): Finding[] {
  if (job === undefined) {
    return [];
  }
  const { name, jobId, isActive, lastRun } = job;
  const inactive: Finding = {
    severity: 'warning',
    code: 'job-inactive',
    view,
    message: `pg_cron job "${name}" is not active: nothing refreshes the view at its scheduled times.`,
    fix: ADVICE.activateJob(jobId),
  };
  return [
    ...(isActive ? [] : [inactive]),
    ...(lastRun?.status === 'failed' ? [failing(view, job, lastRun)] : []),
  ];
}

function failing(
  view: string,
  { name, jobId }: NonNullable<ViewStatus['job']>,
  { message, startedAt }: { message?: string; startedAt?: Date },
): Finding {
  const text = firstLine(message);
  return {
    severity: 'error',
    code: 'job-failing',
    view,
    message: `the last run of pg_cron job "${name}" failed: ${text}${text.endsWith('.') ? '' : '.'}`,
    fix:
      startedAt === undefined
        ? "Let pg_cron connect as the job's role (pg_hba.conf, .pgpass), or set cron.use_background_workers = on"
        : `matviews history '${view.replaceAll("'", String.raw`'\''`)}' # or: ${ADVICE.jobRuns(jobId)}`,
  };
}
