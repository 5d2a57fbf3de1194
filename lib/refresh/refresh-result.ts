/**
 * How a refresh ran. `concurrently` doesn't block readers, `blocking` blocks them while it runs, `swap` builds the
 * rows beside the view and swaps them in.
 */
export type RefreshMode = 'concurrently' | 'blocking' | 'swap';

/**
 * Why a refresh ran in its mode. `unique_index`: concurrently, because the view has a usable one. Blocking, because
 * the view is `unpopulated`, has `no_unique_index` (valid, immediate, on plain columns, without a predicate), or was
 * emptied (`with_no_data`). `requested`: the caller or the view's options asked for the mode.
 */
export type RefreshModeReason =
  'unique_index' | 'unpopulated' | 'no_unique_index' | 'with_no_data' | 'requested';

/**
 * What triggered a refresh: the view's schedule, a call of `RefreshService`, a committed write to what the view
 * reads, or its `maxStaleness`.
 */
export type RefreshTrigger = 'schedule' | 'demand' | 'write' | 'staleness';

/**
 * Why a refresh was skipped. `busy`: another refresh of the view is running; `paused`: the view is
 * paused; `min_interval`: it was refreshed less than `minInterval` ago; `unchanged`: nothing that it reads
 * has changed since its last refresh. On schedule also `tick_done`: another process did this tick; `tick_early`: by
 * the database's clock it is not due yet; `backing_off`: the view failed recently.
 */
export type SkipReason =
  'busy' | 'paused' | 'min_interval' | 'unchanged' | 'tick_done' | 'tick_early' | 'backing_off';

interface RunResult {
  /** The view, as `schema.name`. */
  view: string;
  /** Identifies the run in the history. Skipped runs are not there, except ticks that found the view `unchanged`. */
  runId: string;
  trigger: RefreshTrigger;
  /** By the database's clock. */
  startedAt: Date;
  /** By the database's clock. */
  finishedAt: Date;
  durationMs: number;
  /**
   * With `waitForReplicas`: the WAL position, as a `pg_lsn`, that the standbys have replayed. The refresh was
   * committed before it. Left out if no standby is connected.
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
  /** 1 for the first attempt, 2 for the first retry, and so on. */
  attempt: number;
  /** Inserted rows; in blocking mode all rows. Absent if the server doesn't count them (`track_counts`). */
  insertedCount?: number;
  /** Deleted rows; 0 in blocking mode, which rebuilds the view. */
  deletedCount?: number;
}

/**
 * Another refresh, in this or another process, began after the request and was committed, so it served the request.
 * `runId` and the times are those of that refresh.
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
