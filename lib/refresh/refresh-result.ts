/** How a refresh stores the new rows: `concurrently` stops no reader, `blocking` stops all of them while it runs. */
export type RefreshMode = 'concurrently' | 'blocking';

/**
 * Why a refresh ran in its mode: `unique_index` for concurrently, because the view has what that needs;
 * for blocking, because the view is `unpopulated` or has `no_unique_index` (one that is valid and
 * immediate, on plain columns, without a predicate).
 */
export type RefreshModeReason = 'unique_index' | 'unpopulated' | 'no_unique_index';

/** What asked for a refresh: a view's schedule, or a call of `RefreshService`. */
export type RefreshTrigger = 'schedule' | 'demand';

/**
 * Why nothing was refreshed. `busy`: another refresh of the view is running. For a schedule also
 * `tick_done`: another process did this tick; `tick_early`: by the database's clock its time has not
 * come; `backing_off`: the view failed a short time ago.
 */
export type SkipReason = 'busy' | 'tick_done' | 'tick_early' | 'backing_off';

interface RunResult {
  /** The view, as `schema.name`. */
  view: string;
  /** Identifies the run in the history. A skipped run has no row there. */
  runId: string;
  trigger: RefreshTrigger;
  /** By the database's clock. */
  startedAt: Date;
  /** By the database's clock. */
  finishedAt: Date;
  durationMs: number;
}

/** The view has new rows, and they are committed. */
export interface RefreshedResult extends RunResult {
  outcome: 'refreshed';
  mode: RefreshMode;
  modeReason: RefreshModeReason;
}

/** Nothing was done. */
export interface SkippedResult extends RunResult {
  outcome: 'skipped';
  reason: SkipReason;
}

export type RefreshResult = RefreshedResult | SkippedResult;
