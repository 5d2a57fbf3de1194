import { randomUUID } from 'node:crypto';
import { viewName } from '../definition/view-definition.js';
import type { FinishedRow, RunRecord, SuccessRecord } from '../postgres/history.sql.js';
import type { RefreshPreconditionRow } from '../postgres/refresh.sql.js';
import { type ChosenMode, modeNamed } from './modes/modes.js';
import type { RefreshProgress } from './refresh-failure.js';
import type { RefreshRequest } from './refresh-request.js';
import type {
  JoinedResult,
  RefreshedResult,
  RefreshResult,
  SkippedResult,
  SkipReason,
} from './refresh-result.js';

/** The part of a run's history row that doesn't depend on its outcome. */
export function runRecord(
  { definition, trigger, tick }: RefreshRequest,
  { runId, attempt, startedAt }: RefreshProgress,
): RunRecord {
  return { runId, view: definition.name, trigger, tick, attempt, startedAt };
}

/** The result of a skipped request. */
export function skippedResult(
  { definition, trigger }: RefreshRequest,
  reason: SkipReason,
  at: Date,
  runId: string = randomUUID(),
): SkippedResult {
  return {
    view: viewName(definition),
    outcome: 'skipped',
    reason,
    runId,
    trigger,
    startedAt: at,
    finishedAt: at,
    durationMs: 0,
  };
}

/** The result of a request that the last success serves. */
export function joinedResult(
  { definition, trigger }: RefreshRequest,
  last: RefreshPreconditionRow,
): JoinedResult {
  const startedAt = last.last_started_at ?? 0;
  const finishedAt = last.last_success_at ?? startedAt;
  return {
    view: viewName(definition),
    outcome: 'joined',
    // A success stored by a schema change has another kind of reason, but its rows are just as new.
    mode: (last.last_mode ?? 'blocking') as JoinedResult['mode'],
    modeReason: (last.last_mode_reason ?? 'requested') as JoinedResult['modeReason'],
    runId: last.last_run_id ?? '',
    trigger,
    startedAt: new Date(startedAt),
    finishedAt: new Date(finishedAt),
    durationMs: Math.max(0, finishedAt - startedAt),
  };
}

/** The result of a refresh whose rows are committed. */
export function refreshedResult(
  { definition, trigger }: RefreshRequest,
  { runId, attempt, startedAt }: RefreshProgress,
  { mode, finished }: { mode: ChosenMode; finished?: FinishedRow },
): RefreshedResult {
  return {
    view: viewName(definition),
    outcome: 'refreshed',
    ...mode,
    runId,
    trigger,
    attempt,
    startedAt: new Date(startedAt),
    finishedAt: new Date(finished?.finished_at ?? Date.now()),
    durationMs: Math.max(0, finished?.duration_ms ?? 0),
    insertedCount: countOf(finished?.inserted_count),
    deletedCount: countOf(finished?.deleted_count),
  };
}

function countOf(count: string | null | undefined): number | undefined {
  return count === null || count === undefined ? undefined : Number(count);
}

/** Whether it was skipped because another refresh is running. */
export function isBusy(result: RefreshResult): boolean {
  return result.outcome === 'skipped' && result.reason === 'busy';
}

/**
 * What the history and the state record about a success. Rows of a view that replaced another were never
 * counted.
 */
export function successRecord(
  request: RefreshRequest,
  progress: RefreshProgress,
  chosen: ChosenMode,
  conditions: RefreshPreconditionRow,
): Omit<SuccessRecord, 'signature'> {
  const { snapshot, inserted_before: inserted, deleted_before: deleted } = conditions;
  return {
    ...runRecord(request, progress),
    ...chosen,
    snapshot,
    round: request.round,
    isEmptied: !request.mode.withData,
    countsBefore: modeNamed(chosen.mode).replacesView ? undefined : { inserted, deleted },
  };
}
