import type { RefreshError } from '../errors/refresh.errors.js';
import type { RefreshResult } from './refresh-result.js';

const OUTCOMES = [
  'refreshed',
  'joined',
  'skipped',
  'failed',
  'upstream_failed',
  'aborted',
] as const;

/**
 * The outcome for a view: that of its own refresh; `failed`; `upstream_failed`: not started, because a view that it
 * depends on failed; `aborted`: not started, because of the signal.
 */
export type GraphOutcome = (typeof OUTCOMES)[number];

interface GraphView {
  /** The view, as `schema.name`. */
  view: string;
  dataSource: string;
}

/** The view was refreshed, or skipped for the reason in the result. */
export interface GraphSettledView extends GraphView {
  outcome: RefreshResult['outcome'];
  result: RefreshResult;
}

/** The view's refresh failed. It keeps its rows. */
export interface GraphFailedView extends GraphView {
  outcome: 'failed';
  error: RefreshError;
}

/** The view was left out. It keeps its rows. */
export interface GraphLeftOutView extends GraphView {
  outcome: 'upstream_failed';
  /** The failed views that it depends on, directly or not, as `schema.name`. */
  failedDependencies: string[];
}

/** The view was not started, because the signal was aborted before its turn. */
export interface GraphAbortedView extends GraphView {
  outcome: 'aborted';
}

export type GraphViewReport =
  GraphSettledView | GraphFailedView | GraphLeftOutView | GraphAbortedView;

/** The outcome of a refresh of several views. */
export interface GraphReport {
  /** Each view once, in the order in which they finished: none before those that it depends on. */
  views: GraphViewReport[];
  /** How many views had each outcome. */
  counts: Record<GraphOutcome, number>;
  /** The total time, in milliseconds by the clock of this process. */
  durationMs: number;
}

/** Counts the views by outcome. */
export function graphReport(views: GraphViewReport[], durationMs: number): GraphReport {
  const counts = Object.fromEntries(
    OUTCOMES.map((outcome) => [outcome, views.filter((each) => each.outcome === outcome).length]),
  ) as Record<GraphOutcome, number>;
  return { views, counts, durationMs };
}

/** The views with one outcome. */
export function viewsOf<Outcome extends GraphOutcome>(
  { views }: GraphReport,
  outcome: Outcome,
): Extract<GraphViewReport, { outcome: Outcome }>[] {
  return views.filter(
    (each): each is Extract<GraphViewReport, { outcome: Outcome }> => each.outcome === outcome,
  );
}

/** A one-line summary for logs and messages: no row data, and not too many names. */
export function graphSummary(report: GraphReport): string {
  const { views, counts } = report;
  const all = OUTCOMES.filter((outcome) => counts[outcome] > 0);
  const failed = viewsOf(report, 'failed').map(({ view, error }) => `"${view}" (${error.code})`);
  const leftOut = viewsOf(report, 'upstream_failed').map(({ view }) => `"${view}"`);
  return [
    `${views.length} views: ${all.map((each) => `${counts[each]} ${each}`).join(', ') || 'none'}.`,
    ...(failed.length > 0 ? [`Failed: ${someOf(failed)}.`] : []),
    ...(leftOut.length > 0 ? [`Left out because of that: ${someOf(leftOut)}.`] : []),
  ].join(' ');
}

const SHOWN_NAMES = 10;

function someOf(names: string[]): string {
  const more = names.length - SHOWN_NAMES;
  return `${names.slice(0, SHOWN_NAMES).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
