/**
 * How a refresh stores the new rows: `concurrently` stops no reader, `blocking` stops all of them while
 * it runs, `swap` builds the rows beside the view and takes its place in a moment.
 */
export type RefreshMode = 'concurrently' | 'blocking' | 'swap';

/**
 * Why a refresh ran in its mode: `unique_index` for concurrently, because the view has what that needs;
 * for blocking, because the view is `unpopulated` or has `no_unique_index` (one that is valid and
 * immediate, on plain columns, without a predicate), or was emptied (`with_no_data`); `requested` when
 * the caller or the view's options said so.
 */
export type RefreshModeReason =
  'unique_index' | 'unpopulated' | 'no_unique_index' | 'with_no_data' | 'requested';

/**
 * What asked for a refresh: a view's schedule, a call of `RefreshService`, a committed `write` to what the
 * view reads, or its `maxStaleness`.
 */
export type RefreshTrigger = 'schedule' | 'demand' | 'write' | 'staleness';

/**
 * Why nothing was refreshed. `busy`: another refresh of the view is running; `paused`: the view is
 * paused; `min_interval`: it was refreshed less than `minInterval` ago; `unchanged`: nothing that it reads
 * has changed since its last refresh. For a schedule also `tick_done`:
 * another process did this tick; `tick_early`: by the database's clock its time has not come;
 * `backing_off`: the view failed a short time ago.
 */
export type SkipReason =
  'busy' | 'paused' | 'min_interval' | 'unchanged' | 'tick_done' | 'tick_early' | 'backing_off';

interface RunResult {
  /** The view, as `schema.name`. */
  view: string;
  /** Identifies the run in the history. A skipped run has no row there, but for a tick that found it `unchanged`. */
  runId: string;
  trigger: RefreshTrigger;
  /** By the database's clock. */
  startedAt: Date;
  /** By the database's clock. */
  finishedAt: Date;
  durationMs: number;
  /**
   * With `waitForReplicas`: the position in the WAL, as PostgreSQL writes a `pg_lsn`, that the standbys have replayed. What
   * the call stands for was committed before it.
   */
  lsn?: string;
}

interface SuccessfulResult extends RunResult {
  mode: RefreshMode;
  modeReason: RefreshModeReason;
}

/** The view has new rows, and they are committed. */
export interface RefreshedResult extends SuccessfulResult {
  outcome: 'refreshed';
  /** 1, and one more for each time that it had to be tried again. */
  attempt: number;
  /** Rows that were put in; in blocking mode all of them. Absent where the server does not count (`track_counts`). */
  insertedCount?: number;
  /** Rows that were taken out; 0 in blocking mode, which rebuilds the view. */
  deletedCount?: number;
}

/**
 * Another refresh, in this process or another, began after the request and is committed, so its rows are
 * what the request asked for. `runId` and the times are that refresh's.
 */
export interface JoinedResult extends SuccessfulResult {
  outcome: 'joined';
}

/** Nothing was done. */
export interface SkippedResult extends RunResult {
  outcome: 'skipped';
  reason: SkipReason;
}

export type RefreshResult = RefreshedResult | JoinedResult | SkippedResult;
