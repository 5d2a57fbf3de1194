import { isByPgCron } from '../../definition/pg-cron-schedule.js';
import { type ViewDefinition, viewName } from '../../definition/view-definition.js';
import { displayName, type QualifiedName } from '../../postgres/identifier.js';
import { JOB_LOCK } from '../../postgres/lock-words.js';
import {
  isOwnCommand,
  type PgCronJobRow,
  type PgCronRow,
  schedulePgCronJob,
  selectPgCron,
  selectPgCronJobs,
  unscheduleElsewhere,
  unschedulePgCronJob,
} from '../../postgres/pg-cron.sql.js';
import { hasJobs, pgCronJobName } from '../../postgres/pg-cron-job.js';
import { type PgCronJob, pgCronJob, requirePgCron } from '../pg-cron-jobs.js';
import type { PlanStep } from '../plan-step.js';
import type { Aspect, AspectInput, Right } from './aspect.js';

/** How the pg_cron jobs differ from those that the code declares. */
export type PgCronDifference =
  /** `isElsewhere`: somebody has sent it to another database. */
  | { kind: 'job-missing'; view: ViewDefinition; wanted: PgCronJob; isElsewhere: boolean }
  | { kind: 'job-changed'; view: ViewDefinition; wanted: PgCronJob; deployed: PgCronJob }
  | { kind: 'job-superfluous'; view: ViewDefinition; deployed: PgCronJob }
  /** For a view that is dropped or no longer exists. */
  | { kind: 'job-left-over'; subject: QualifiedName; deployed: PgCronJob };

const RIGHTS: Record<PgCronDifference['kind'], Right> = {
  'job-missing': 'create',
  'job-changed': 'change',
  'job-superfluous': 'change',
  'job-left-over': 'change',
};

export interface PgCronFound {
  server?: PgCronRow;
  jobs: PgCronJobRow[];
}

/** The pg_cron jobs that refresh views at their scheduled times. */
export const pgCronAspect: Aspect<PgCronFound, PgCronDifference> = {
  kinds: Object.keys(RIGHTS) as PgCronDifference['kind'][],
  order: 'last',

  read: async (session, input) => {
    const { views, stateSchema } = input;
    const [server] = await session.query<PgCronRow>(selectPgCron());
    const wanted = views.filter(isByPgCron);
    if (server !== undefined) {
      wanted.forEach((view) => requirePgCron(view, server, { isOwn: isOwn(view, server, input) }));
    }
    const names = wanted.map(({ name }) => pgCronJobName(name));
    const jobs = hasJobs(server)
      ? await session.query<PgCronJobRow>(selectPgCronJobs(stateSchema, names))
      : [];
    return { server, jobs };
  },

  diff: (found, input) => [
    ...input.views
      .filter((view) => isOwn(view, found.server, input) && !isAnothers(view, found, input))
      .flatMap((view) => viewDifferences(view, found, input)),
    ...leftOver(found, input),
  ],

  right: ({ kind }) => RIGHTS[kind],

  steps: (differences, { failed }) =>
    differences.filter((each) => !('view' in each && failed.has(viewName(each.view)))).map(stepOf),

  describe: (difference) => {
    switch (difference.kind) {
      case 'job-missing':
        return 'its pg_cron job is missing';
      case 'job-changed':
        return 'its pg_cron job changed';
      default:
        return `pg_cron job "${difference.deployed.name}" is no longer declared`;
    }
  },
};

/**
 * Whether this role sees the job of a view and can create one that works: only a job's own role sees it, and it runs as
 * that role. If another role owns the view, that role keeps the job.
 */
function isOwn(
  view: ViewDefinition,
  server: PgCronRow | undefined,
  { state }: AspectInput,
): boolean {
  const deployed = state.views.get(viewName(view));
  return deployed === undefined || (server?.own_roles.includes(deployed.row.owner) ?? false);
}

/** As a superuser sees it: the role that it belongs to refreshes the view by it, and a second one would do nothing. */
function isAnothers(view: ViewDefinition, { jobs }: PgCronFound, input: AspectInput): boolean {
  const alike = jobs.filter(({ name }) => name === pgCronJobName(view.name));
  const isAny = alike.some(({ command }) => isOwnCommand(command, input.stateSchema));
  return isAny && !alike.some((job) => job.is_own);
}

function viewDifferences(
  view: ViewDefinition,
  found: PgCronFound,
  { options, stateSchema }: AspectInput,
): PgCronDifference[] {
  const job = jobNamed(found, pgCronJobName(view.name));
  const others = [view.renamedFrom].flatMap((name) => {
    const other = name && jobNamed(found, pgCronJobName(name));
    return other !== undefined && isOwnCommand(other.command, stateSchema) ? [other] : [];
  });
  const superfluous = (deployed: PgCronJob): PgCronDifference => ({
    kind: 'job-superfluous',
    view,
    deployed,
  });
  if (!isByPgCron(view)) {
    const own = job !== undefined && isOwnCommand(job.command, stateSchema) ? [job] : [];
    return [...own, ...others].map(superfluous);
  }
  return [...compared(view, pgCronJob(view, options), found), ...others.map(superfluous)];
}

function compared(view: ViewDefinition, wanted: PgCronJob, found: PgCronFound): PgCronDifference[] {
  const deployed = jobNamed(found, wanted.name);
  if (deployed === undefined) {
    const isElsewhere = found.jobs.some((job) => job.name === wanted.name && !job.is_here);
    return [{ kind: 'job-missing', view, wanted, isElsewhere }];
  }
  const isSame = deployed.schedule === wanted.schedule && deployed.command === wanted.command;
  return isSame ? [] : [{ kind: 'job-changed', view, wanted, deployed }];
}

/** Jobs of views that are about to be dropped, or that are gone and unknown. */
function leftOver(found: PgCronFound, input: AspectInput): PgCronDifference[] {
  const { views, state, gone, stateSchema } = input;
  const declared = new Set(
    views
      .flatMap(({ name, renamedFrom }) => [name, ...(renamedFrom ? [renamedFrom] : [])])
      .map(pgCronJobName),
  );
  const known = new Map(
    [...state.known.values()].map(({ schema_name: schema, view_name: name }) => {
      const view = { schema, name };
      return [pgCronJobName(view), view] as const;
    }),
  );
  return found.jobs
    .filter((job) => isOwnHere(job) && isOwnCommand(job.command, stateSchema))
    .filter(({ name }) => !declared.has(name ?? ''))
    .flatMap(({ name, schedule, command }) => {
      const view = known.get(name ?? '');
      const stays =
        view !== undefined && state.views.has(displayName(view)) && !gone.has(displayName(view));
      return name === null || stays
        ? []
        : [
            {
              kind: 'job-left-over' as const,
              subject: view ?? { schema: 'cron', name: 'job' },
              deployed: { name, schedule, command },
            },
          ];
    });
}

const isOwnHere = ({ is_own: isOwnJob, is_here: isHere }: PgCronJobRow): boolean =>
  isOwnJob && isHere;

function jobNamed({ jobs }: PgCronFound, wanted: string): PgCronJob | undefined {
  const found = jobs.find((job) => job.name === wanted && isOwnHere(job));
  return found && { name: wanted, schedule: found.schedule, command: found.command };
}

function stepOf(difference: PgCronDifference): PlanStep {
  const { kind } = difference;
  const wanted = 'wanted' in difference ? difference.wanted : undefined;
  const deployed = 'deployed' in difference ? difference.deployed : undefined;
  const name = wanted?.name ?? deployed?.name ?? '';
  return {
    action: 'schedule',
    ...('view' in difference && { view: viewName(difference.view), name: difference.view.name }),
    reason: REASONS[kind](name),
    statements: [
      ...(kind === 'job-missing' && difference.isElsewhere ? [unscheduleElsewhere(name)] : []),
      wanted === undefined ? unschedulePgCronJob(name) : schedulePgCronJob(wanted),
    ],
    undo: [deployed === undefined ? unschedulePgCronJob(name) : schedulePgCronJob(deployed)],
    lock: JOB_LOCK,
    rewritesRows: false,
  };
}

const REASONS: Record<PgCronDifference['kind'], (job: string) => string> = {
  'job-missing': (job) => `pg_cron job "${job}" is missing`,
  'job-changed': (job) => `pg_cron job "${job}" has another schedule or another command`,
  'job-superfluous': (job) => `pg_cron job "${job}" is no longer declared`,
  'job-left-over': (job) => `pg_cron job "${job}" refreshes a view that is gone`,
};
