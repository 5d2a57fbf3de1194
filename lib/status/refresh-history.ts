import type { DataSourceContext } from '../definition/data-source.context.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { Database } from '../postgres/database.js';
import {
  type HistoryFilter,
  type HistoryRow,
  type RecentRunsRow,
  selectHistory,
  selectHistoryOfAll,
  selectRecentRuns,
  type ViewHistoryRow,
} from '../postgres/history-reading.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import { instant } from '../postgres/optional-instant.js';
import type { RefreshMode, RefreshModeReason, RefreshTrigger } from '../refresh/refresh-result.js';

/** How a run ended. The only skipped runs in the history are ticks that found the view `unchanged`. */
export type RefreshOutcome = (typeof REFRESH_OUTCOMES)[number];

/** All of them. */
export const REFRESH_OUTCOMES = ['refreshed', 'skipped', 'failed', 'timeout', 'cancelled'] as const;

/** One run in the history. All times use the database's clock. */
export interface RefreshHistoryEntry {
  runId: string;
  /** `sync`: a boot, a migration or `SchemaService` created or rebuilt the view. */
  trigger: RefreshTrigger | 'sync';
  /** The scheduled time of the run. */
  tick?: Date;
  /** The number of the attempt, from 1 on. */
  attempt: number;
  outcome: RefreshOutcome;
  /** Left out for runs that failed or were skipped. */
  mode?: RefreshMode;
  /**
   * Left out for runs that failed. `unchanged` is the reason of a skipped run; `created` and `definition_changed` are
   * those of the trigger `sync`.
   */
  modeReason?: RefreshModeReason | 'unchanged' | 'created' | 'definition_changed';
  /** Inserted rows, if the server counts them. */
  insertedCount?: number;
  /** Deleted rows, if the server counts them. */
  deletedCount?: number;
  startedAt: Date;
  finishedAt: Date;
  durationMs: number;
  /** A SQLSTATE, or the `code` of one of the library's errors. */
  errorCode?: string;
  errorMessage?: string;
  /** The process that ran it, as `hostname:pid`. */
  host: string;
}

/** One run in the history of several views. */
export interface ViewHistoryEntry extends RefreshHistoryEntry {
  /** As `schema.name`. */
  view: string;
  dataSource: string;
}

/** The last runs of a view, oldest first. Skipped ticks are not included. */
export interface RecentRuns {
  /** As `schema.name`. */
  view: string;
  dataSource: string;
  runs: { startedAt: Date; durationMs: number; outcome: RefreshOutcome }[];
}

/** The last runs of a view, newest first. */
export async function readHistory(
  database: Database,
  view: QualifiedName,
  { limit, timeoutMs }: { limit: number; timeoutMs: number },
): Promise<RefreshHistoryEntry[]> {
  const statement = selectHistory(database.stateSchema, view, limit);
  const rows = await database.reading(timeoutMs, (session) => session.query<HistoryRow>(statement));
  return rows.map(historyEntry);
}

/** The last runs of several views, newest first. */
export async function readHistoryOfAll(
  { database, name: dataSource }: DataSourceContext,
  views: readonly ViewDefinition[],
  { filter, limit, timeoutMs }: { filter: HistoryFilter; limit: number; timeoutMs: number },
): Promise<ViewHistoryEntry[]> {
  const names = views.map(({ name }) => name);
  const statement = selectHistoryOfAll(database.stateSchema, names, filter, limit);
  const rows = await database.reading(timeoutMs, (session) =>
    session.query<ViewHistoryRow>(statement),
  );
  return rows.flatMap((row) => {
    const view = views[row.position - 1];
    return view === undefined ? [] : [{ view: viewName(view), dataSource, ...historyEntry(row) }];
  });
}

/** How the last runs of each view went. */
export async function readRecentRuns(
  { database, name: dataSource }: DataSourceContext,
  views: readonly ViewDefinition[],
  { limit, timeoutMs }: { limit: number; timeoutMs: number },
): Promise<RecentRuns[]> {
  const names = views.map(({ name }) => name);
  const statement = selectRecentRuns(database.stateSchema, names, limit);
  const rows = await database.reading(timeoutMs, (session) =>
    session.query<RecentRunsRow>(statement),
  );
  return views.map((view, position) => ({
    view: viewName(view),
    dataSource,
    runs: (rows[position]?.runs ?? []).map(([startedAt, durationMs, outcome]) => ({
      startedAt: new Date(startedAt),
      durationMs: Math.max(0, durationMs),
      outcome: outcome as RefreshOutcome,
    })),
  }));
}

function historyEntry(row: HistoryRow): RefreshHistoryEntry {
  return {
    runId: row.run_id,
    trigger: row.trigger as RefreshHistoryEntry['trigger'],
    tick: instant(row.tick),
    attempt: row.attempt,
    outcome: row.outcome as RefreshOutcome,
    mode: (row.mode ?? undefined) as RefreshHistoryEntry['mode'],
    modeReason: (row.mode_reason ?? undefined) as RefreshHistoryEntry['modeReason'],
    insertedCount: row.inserted_count ?? undefined,
    deletedCount: row.deleted_count ?? undefined,
    startedAt: new Date(row.started_at),
    finishedAt: new Date(row.finished_at),
    durationMs: Math.max(0, row.duration_ms),
    errorCode: row.error_code ?? undefined,
    errorMessage: row.error_message ?? undefined,
    host: row.host,
  };
}
