import type { DataSourceContext } from '../definition/data-source.context.js';
import { isByPgCron } from '../definition/pg-cron-schedule.js';
import { allowsCreation } from '../definition/policy-rights.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import { hasJobs, pgCronJobName } from '../postgres/pg-cron-job.js';
import { type PgCronRow, selectPgCron, unschedulePgCronJob } from '../postgres/pg-cron.sql.js';

/**
 * Takes the jobs of pg_cron from views whose schema is no longer named, as their timers are taken from processes. Who lets
 * migrations make views lets them do this too. A schema that is named again gets them again.
 */
export async function unscheduleRemoved(
  { options, database }: Pick<DataSourceContext, 'options' | 'database'>,
  removed: readonly ViewDefinition[],
): Promise<void> {
  const scheduled = removed.filter(isByPgCron);
  if (scheduled.length === 0 || !allowsCreation(options.syncPolicy)) {
    return;
  }
  await database.bookkeeping(async (session) => {
    const [server] = await session.query<PgCronRow>(selectPgCron());
    if (hasJobs(server)) {
      await session.queryAll(scheduled.map(({ name }) => unschedulePgCronJob(pgCronJobName(name))));
    }
  });
}
