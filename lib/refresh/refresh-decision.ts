import { BlockingRefusedError, ViewMissingError } from '../errors/refresh.errors.js';
import type { RefreshPreconditionRow } from '../postgres/refresh.sql.js';
import { MATERIALIZED, viewKindOf } from '../postgres/view-kind.js';
import type { RefreshRequest, RequestedMode } from './refresh-request.js';
import type { PendingChanges } from '../tracking/pending-changes.js';
import { wouldGiveSameRows } from '../tracking/seen-changes.js';
import { type ChosenMode, chooseMode } from './modes/modes.js';
import type { RefreshResult, SkipReason } from './refresh-result.js';

/**
 * The conditions, which exist if the view does.
 *
 * @throws ViewMissingError if there is no materialized view with that name
 */
export function requireView(
  view: string,
  conditions: RefreshPreconditionRow | undefined,
): RefreshPreconditionRow {
  if (conditions === undefined || viewKindOf(conditions.relation_kind) !== MATERIALIZED) {
    const what = conditions?.relation_kind ? 'is not a materialized view' : 'does not exist';
    throw new ViewMissingError(`Relation "${view}" ${what} in the database.`, {
      view,
      hint: 'Was it dropped, renamed or replaced by hand? Booting creates a missing view again.',
    });
  }
  return conditions;
}

/**
 * The mode, if `strict` allows it. An unpopulated view may always be refreshed: it has no readers to block.
 *
 * @throws BlockingRefusedError if the refresh would block readers, and `strict` forbids that
 */
export function allowedMode(
  view: string,
  conditions: RefreshPreconditionRow,
  requested: RequestedMode,
): ChosenMode {
  const mode = chooseMode(conditions, requested);
  if (requested.strict && mode.modeReason === 'no_unique_index') {
    throw new BlockingRefusedError(
      `Materialized view "${view}" was not refreshed: it has no unique index that PostgreSQL can use to refresh it concurrently, and \`strict\` does not allow a refresh that blocks its readers.`,
      {
        view,
        hint: 'Declare a unique index on plain columns, without a predicate, or leave `strict` out.',
      },
    );
  }
  return mode;
}

/** Why the request is skipped; `undefined` if it isn't. */
export function skipReason(
  conditions: RefreshPreconditionRow,
  { tick, policy: { skipsPaused, keepsMinInterval } }: RefreshRequest,
  isUnchanged: boolean,
): SkipReason | undefined {
  if (tick !== undefined && conditions.is_tick_done) {
    return 'tick_done';
  }
  if (tick !== undefined && conditions.is_tick_early) {
    return 'tick_early';
  }
  if (skipsPaused && conditions.is_paused) {
    return 'paused';
  }
  if (tick !== undefined && conditions.is_backing_off) {
    return 'backing_off';
  }
  // An unpopulated view can't be read, so it is filled however recent its last refresh is.
  if (keepsMinInterval && conditions.is_populated && conditions.is_too_soon) {
    return 'min_interval';
  }
  return isUnchanged ? 'unchanged' : undefined;
}

/** By how much two clocks may drift apart, as a share of the time over which they are compared. */
const CLOCK_DRIFT = 1 / 1_000;

/** Stored times have a precision of one millisecond. */
const CLOCK_PRECISION_MS = 1;

/**
 * Whether the last successful refresh serves a request, because it began after the request was made.
 *
 * @param sinceRequestMs the time between the request and reading the conditions, by this process's clock. It gives
 * the time of the request by the database's clock, even if the two clocks differ.
 */
export function isServed(conditions: RefreshPreconditionRow, sinceRequestMs: number): boolean {
  const { last_started_at: lastStartedAt, started_at: now } = conditions;
  if (lastStartedAt === null) {
    return false;
  }
  const requestedAt = now - sinceRequestMs;
  return lastStartedAt > requestedAt + sinceRequestMs * CLOCK_DRIFT + CLOCK_PRECISION_MS;
}

/** The defaults of autovacuum_analyze_threshold and autovacuum_analyze_scale_factor. */
const ANALYZE_THRESHOLD = 50;
const ANALYZE_SCALE_FACTOR = 0.1;

/** Whether a refresh changed so much that the planner's statistics are out of date. */
export function isAnalyzeDue(changedCount: number, rowCountEstimate: number): boolean {
  return changedCount > ANALYZE_THRESHOLD + ANALYZE_SCALE_FACTOR * Math.max(rowCountEstimate, 0);
}

/** Whether the request is unnecessary because too little has changed. */
export function isUnchangedFor(
  { policy, definition }: Pick<RefreshRequest, 'policy' | 'definition'>,
  pending: PendingChanges | undefined,
): boolean {
  switch (policy.skipsUnchanged) {
    case 'never':
      return false;
    case 'all-seen':
      return pending?.hasNothingNew ?? false;
    case 'same-rows':
      return wouldGiveSameRows(definition, pending);
  }
}

/**
 * Whether the rows were found to be what a refresh would produce. With `on: [...]` they are only known to be as new
 * as what the view tracks, which is less.
 */
export function areRowsCurrent(
  result: RefreshResult,
  { definition }: Pick<RefreshRequest, 'definition'>,
  pending: PendingChanges | undefined,
): boolean {
  const isFound = result.outcome === 'skipped' && result.reason === 'unchanged';
  return isFound && wouldGiveSameRows(definition, pending);
}
