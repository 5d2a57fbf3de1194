import { milliseconds } from '../definition/duration.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { ManagedDataSource } from '../engine/managed-data-source.js';
import { MaterializedViewError } from '../errors/materialized-view.error.js';
import { displayName } from '../postgres/identifier.js';
import { obstacleReasons, type ObstacleRow, selectObstacles } from '../postgres/obstacle.sql.js';
import type { Session } from '../postgres/session.js';
import type { ViewStatus } from '../status/view-status.js';
import { readSwapSource } from '../schema/swap-source.js';
import { describeObstacle } from '../tracking/untrackable-views.js';
import type { CommandResult } from './cli-command.js';
import { CommandLineUsageError } from './command-line.errors.js';
import { viewsNamed } from './views-named.js';

const TIMEOUT = '30s';

/** Whether a view can have something; if not, why. */
interface Possibility {
  isPossible: boolean;
  reasons: string[];
}

/** What is possible for a view's freshness and its refreshes. */
interface Explanation {
  view: string;
  /** What triggers its refreshes, as declared. */
  refreshedBy: string[];
  /** The mode of its refreshes, as declared. */
  mode: string;
  /** Whether writes to what it reads can be noticed (`on: 'sources'`). */
  on: Possibility;
  /** Whether it can be known that nothing has changed (`skipUnchanged`, `maxStaleness`). */
  skipUnchanged: Possibility;
  concurrently: Possibility;
  swap: Possibility;
}

/** Explains the given views, or all, from the catalog. Changes nothing. */
export async function explain(
  source: ManagedDataSource,
  names: readonly string[],
): Promise<CommandResult> {
  const views =
    names.length === 0 ? [...source.views.materialized()] : materialized(viewsNamed(source, names));
  const statuses = new Map(
    (await source.inspector.statusAll(milliseconds(TIMEOUT))).map((each) => [each.view, each]),
  );
  const explanations = await source.database.reading(milliseconds(TIMEOUT), async (session) => {
    const obstacles = await readObstacles(session, source.options.stateSchema, views);
    const all: Explanation[] = [];
    for (const [position, view] of views.entries()) {
      const own = obstacles.filter((row) => row.position === position);
      const swap = await swapOf(session, view);
      all.push(explanationOf(view, statuses.get(viewName(view)), { obstacles: own, swap }));
    }
    return all;
  });
  return { text: explanations.map(textOf).join('\n\n'), json: { views: explanations } };
}

function materialized(views: readonly ViewDefinition[]): readonly ViewDefinition[] {
  const plain = views.find(({ kind }) => !kind.storesRows);
  if (plain !== undefined) {
    throw new CommandLineUsageError(
      `"${viewName(plain)}" is a plain view: it has no rows of its own, so there is no refresh to explain.`,
    );
  }
  return views;
}

async function readObstacles(
  session: Session,
  stateSchema: string,
  views: readonly ViewDefinition[],
): Promise<ObstacleRow[]> {
  const roots = views.map(({ name }) => ({ view: name, root: name }));
  return session.query<ObstacleRow>(selectObstacles(stateSchema, roots, []));
}

async function swapOf(session: Session, view: ViewDefinition): Promise<Possibility> {
  try {
    await session.attempt(() => readSwapSource(session, view));
    return { isPossible: true, reasons: [] };
  } catch (error) {
    if (error instanceof MaterializedViewError) {
      return { isPossible: false, reasons: [error.message] };
    }
    throw error;
  }
}

function explanationOf(
  view: ViewDefinition,
  status: ViewStatus | undefined,
  { obstacles, swap }: { obstacles: ObstacleRow[]; swap: Possibility },
): Explanation {
  const why = (rows: ObstacleRow[]): string[] => [
    ...new Set(rows.map(({ reason, subject }) => describeObstacle(reason, subject))),
  ];
  const unseen = why(obstacles.filter(({ reason }) => obstacleReasons(false).includes(reason)));
  return {
    view: viewName(view),
    refreshedBy: refreshedBy(view),
    mode: `${view.refresh.mode}${view.refresh.strict ? ', strict' : ''}`,
    on: possibility(unseen),
    skipUnchanged: possibility(why(obstacles)),
    concurrently: concurrentlyOf(status),
    swap,
  };
}

function possibility(reasons: string[]): Possibility {
  return { isPossible: reasons.length === 0, reasons };
}

function refreshedBy({ schedule, freshness }: ViewDefinition): string[] {
  const tables = freshness?.tables.map(displayName) ?? [];
  const told = [...(freshness?.readsSources ? ['everything that it reads'] : []), ...tables].join(
    ', ',
  );
  const { onWrite, skipsUnchanged, maxStalenessMs } = freshness ?? {};
  const lines = [
    schedule &&
      `cron "${schedule.cron}" (${schedule.timeZone}${schedule.scheduler === 'pg_cron' ? ', by pg_cron' : ''})`,
    onWrite &&
      `writes to ${told}, ${onWrite.debounceMs} ms after the last, ${onWrite.maxWaitMs} ms after the first at the latest`,
    maxStalenessMs !== undefined && `maxStaleness of ${maxStalenessMs} ms`,
    skipsUnchanged && 'but not if nothing was written',
  ].filter((line) => typeof line === 'string');
  return lines.length === 0 ? ['only on demand'] : lines;
}

function concurrentlyOf(status: ViewStatus | undefined): Possibility {
  if (status === undefined || status.concurrently.isPossible) {
    return { isPossible: status !== undefined, reasons: [] };
  }
  const reason =
    status.concurrently.reason === 'unpopulated'
      ? 'it has no rows yet: the first refresh blocks its readers'
      : 'it has no unique index on plain columns, for all rows: each refresh blocks its readers';
  return { isPossible: false, reasons: [status.exists ? reason : 'the database does not have it'] };
}

function textOf(explanation: Explanation): string {
  const { view, refreshedBy: by, mode } = explanation;
  const line = (name: string, { isPossible, reasons }: Possibility): string =>
    `  ${name.padEnd(30)} ${isPossible ? 'possible' : `not possible: ${reasons.join('; ')}`}`;
  return [
    view,
    `  ${'refreshed by'.padEnd(30)} ${by.join('; ')}`,
    `  ${'mode'.padEnd(30)} ${mode}`,
    line("on: 'sources'", explanation.on),
    line('skipUnchanged, maxStaleness', explanation.skipUnchanged),
    line('concurrently', explanation.concurrently),
    line('swap', explanation.swap),
  ].join('\n');
}
