import { isWrong, type LockHolder } from '../definition/lock-holder.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { ViewStatusRow } from '../postgres/status.sql.js';
import { instant } from '../postgres/optional-instant.js';
import type { JobProblem, JobReading, ViewJob } from './job-status.js';
import type { RefreshOutcome } from './refresh-history.js';
import type { RefreshMode } from '../refresh/refresh-result.js';
import { maxStalenessOf } from './staleness.js';
import type { ViewChanges } from '../tracking/view-changes.js';

/** The refresh that produced a view's rows. */
export interface LastSuccess {
  /** When it ended. */
  at: Date;
  /** When it began: the rows are as old as this. */
  startedAt: Date;
  runId: string;
  durationMs: number;
  /** Left out if its row is no longer in the history. */
  mode?: RefreshMode;
}

/** The last refresh that failed or took too long. Cancelled refreshes don't count. */
export interface LastFailure {
  at: Date;
  /** A SQLSTATE, or the `code` of one of the library's errors. */
  errorCode?: string;
  /** Left out, like `outcome`, when its row is no longer in the history. */
  errorMessage?: string;
  outcome?: Extract<RefreshOutcome, 'failed' | 'timeout'>;
}

/** The status of a view. All times and ages use the database's clock. */
export interface ViewStatus {
  /** As `schema.name`. */
  view: string;
  dataSource: string;
  /** Whether the database has a materialized view of that name. */
  exists: boolean;
  /** Whether it can be read. */
  isPopulated: boolean;
  /**
   * Whether any process is refreshing or changing it. Left out on a standby: only the primary knows.
   */
  isRefreshing?: boolean;
  /** When that began. Left out if the library's role may not see it. */
  refreshingSince?: Date;
  /**
   * Who holds the view's refresh lock without being a refresh or schema change of the library, or for too long. Left
   * out if nobody does.
   */
  lockedBy?: LockHolder[];
  isPaused: boolean;
  pausedAt?: Date;
  /** Left out if the library has not filled the view yet. */
  lastSuccess?: LastSuccess;
  /**
   * A WAL position, as a `pg_lsn`, from after the commit of the last success. A standby shows its rows once its
   * `pg_last_wal_replay_lsn()` has reached it. Left out if no standby is connected to the server, and on a standby.
   */
  lsn?: string;
  /** It may be older than the last success. */
  lastFailure?: LastFailure;
  /** Failures in a row since the last success. */
  failureCount: number;
  /** Scheduled refreshes back off until this time, because the view failed. Left out afterwards. */
  notBefore?: Date;
  /**
   * Set if the database's clock has gone back: until this time, stored times lie in its future. They are ignored,
   * also here. The next refresh ends that.
   */
  aheadUntil?: Date;
  /**
   * The age of the rows in milliseconds: the time since the last success began, or since the view was last found
   * unchanged. Left out without a success.
   */
  ageMs?: number;
  /**
   * The limit in milliseconds: `refresh.maxStaleness`; otherwise the time from the start of the last success to the
   * second tick after it, plus the mean duration. Left out for a view that has neither.
   */
  maxStalenessMs?: number;
  /**
   * Whether the rows have been out of date for longer than `maxStalenessMs`, or are missing although there is a
   * limit. If the view tracks everything that it reads, that counts from the oldest write that is missing from its
   * rows, and with `refresh.maxStaleness` also from those of the views below it; otherwise from the age of the rows.
   */
  isStale: boolean;
  /** The next scheduled time. */
  nextTick?: Date;
  /** The mean of the last 20 successes in the history, in milliseconds. */
  meanDurationMs?: number;
  lastDurationMs?: number;
  /** In bytes, with indexes and TOAST. Left out while the view is locked against readers. */
  sizeBytes?: number;
  /** Its part that is indexes, in bytes; left out likewise. */
  indexSizeBytes?: number;
  /** The planner's estimate. Left out before the first ANALYZE. */
  rowCountEstimate?: number;
  /** Whether it can be refreshed without blocking readers; if not, why. */
  concurrently: { isPossible: boolean; reason?: 'unpopulated' | 'no_unique_index' };
  /**
   * Whether a column of a unique index has NULLs, according to the planner's statistics. Every
   * concurrent refresh deletes and inserts such rows again.
   */
  keyMayHaveNulls: boolean;
  /** Left out without `scheduler: 'pg_cron'`, and where pg_cron has no job that the role of the library may see. */
  job?: ViewJob;
  /**
   * Why nothing refreshes a view with `scheduler: 'pg_cron'` at its scheduled times. Left out if its job works, or
   * belongs to another role. What the history has is not repeated here: see `failureCount`.
   */
  jobProblem?: JobProblem;
  /** Left out for a view that tracks no changes (`refresh.on`, `skipUnchanged`, `maxStaleness`). */
  changes?: ViewChanges;
}

/** What is read in addition to a view's row. */
interface StatusExtras {
  dataSource: string;
  /** Left out if it could not be read. */
  sizeBytes?: number;
  indexSizeBytes?: number;
  jobs?: JobReading;
  changes?: ViewChanges;
  /** The holder of the refresh lock. */
  holders?: readonly LockHolder[];
  /** For the views below one with `maxStaleness`: since when each lacks writes. */
  outdatedBelow?: readonly number[];
}

/** The status of a view, from what was read. Pure. */
export function refreshStatus(
  definition: ViewDefinition,
  row: ViewStatusRow,
  {
    dataSource,
    sizeBytes,
    indexSizeBytes,
    jobs = {},
    changes,
    holders = [],
    outdatedBelow = [],
  }: StatusExtras,
): ViewStatus {
  const success = lastSuccess(row);
  return {
    view: viewName(definition),
    dataSource,
    exists: row.is_found,
    isPopulated: row.is_populated ?? false,
    isRefreshing: row.is_standby ? undefined : holders.some(({ isForeign }) => !isForeign),
    refreshingSince: holders.find(({ isForeign }) => !isForeign)?.startedAt,
    lockedBy: wrongHolders(holders),
    isPaused: row.is_paused ?? false,
    pausedAt: instant(row.paused_at),
    lastSuccess: success,
    lsn: row.lsn ?? undefined,
    lastFailure: lastFailure(row),
    failureCount: row.failure_count ?? 0,
    notBefore: instant(row.not_before),
    aheadUntil: instant(row.ahead_until),
    ageMs: success && row.now - currentAsOf(row, success.startedAt.getTime()),
    ...staleness(definition, row, [...outdatedSince(definition, row, changes), ...outdatedBelow]),
    nextTick: definition.schedule?.grid.nextTickAfter(new Date(row.now)),
    meanDurationMs: row.mean_duration_ms ?? undefined,
    lastDurationMs: success?.durationMs,
    sizeBytes,
    indexSizeBytes,
    rowCountEstimate: row.row_count_estimate ?? undefined,
    concurrently: concurrently(row),
    keyMayHaveNulls: row.key_may_have_nulls,
    job: jobs.job,
    jobProblem: jobs.problem,
    changes,
  };
}

function wrongHolders(holders: readonly LockHolder[]): LockHolder[] | undefined {
  const wrong = holders.filter(isWrong);
  return wrong.length > 0 ? wrong : undefined;
}

function lastSuccess(row: ViewStatusRow): LastSuccess | undefined {
  if (row.last_success_at === null || row.last_started_at === null || row.last_run_id === null) {
    return undefined;
  }
  return {
    at: new Date(row.last_success_at),
    startedAt: new Date(row.last_started_at),
    runId: row.last_run_id,
    durationMs: row.last_duration_ms ?? Math.max(0, row.last_success_at - row.last_started_at),
    mode: (row.last_mode ?? undefined) as LastSuccess['mode'],
  };
}

function lastFailure(row: ViewStatusRow): LastFailure | undefined {
  return row.last_failure_at === null
    ? undefined
    : {
        at: new Date(row.last_failure_at),
        errorCode: row.last_error_code ?? undefined,
        errorMessage: row.last_error_message ?? undefined,
        outcome: (row.last_failure_outcome ?? undefined) as LastFailure['outcome'],
      };
}

/** The time up to which the rows are known to match the view's query. */
function currentAsOf({ last_unchanged_at: unchangedAt }: ViewStatusRow, since: number): number {
  return Math.max(since, unchangedAt ?? since);
}

/**
 * Since when the rows may lack writes, in milliseconds since the epoch; `undefined` if they lack none.
 */
export function outdatedSince(
  { freshness }: ViewDefinition,
  row: ViewStatusRow,
  changes: ViewChanges | undefined,
): number[] {
  const { isUnchanged = false, pendingSince } = freshness?.readsSources && changes ? changes : {};
  const since = pendingSince?.getTime() ?? rowsSince(row);
  return isUnchanged || since === undefined ? [] : [since];
}

/** That old, if nothing more is known. */
function rowsSince(row: ViewStatusRow): number | undefined {
  const startedAt = row.last_started_at ?? row.known_since ?? undefined;
  return startedAt && currentAsOf(row, startedAt);
}

/**
 * Rows from before the library count as computed when it first saw the view, because nothing else is
 * known.
 */
function staleness(
  definition: ViewDefinition,
  row: ViewStatusRow,
  outdated: readonly number[],
): Pick<ViewStatus, 'maxStalenessMs' | 'isStale'> {
  const since = rowsSince(row);
  const maxStalenessMs = maxStalenessOf(
    definition,
    { since: new Date(since ?? row.now), meanDurationMs: row.mean_duration_ms ?? 0 },
    definition.freshness?.maxStalenessMs,
  );
  if (maxStalenessMs === undefined) {
    return { isStale: false };
  }
  const hasRows = row.is_populated === true && since !== undefined;
  return {
    maxStalenessMs,
    isStale: !hasRows || outdated.some((each) => row.now - each > maxStalenessMs),
  };
}

function concurrently(row: ViewStatusRow): ViewStatus['concurrently'] {
  if (!row.is_populated) {
    return { isPossible: false, reason: 'unpopulated' };
  }
  return row.has_usable_unique_index
    ? { isPossible: true }
    : { isPossible: false, reason: 'no_unique_index' };
}
