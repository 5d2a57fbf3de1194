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

/** What the history gets of a run, whatever becomes of it. */
export function runRecord(
  { definition, trigger, tick }: RefreshRequest,
  { runId, attempt, startedAt }: RefreshProgress,
): RunRecord {
  return { runId, view: definition.name, trigger, tick, attempt, startedAt };
}

/** The result of a request for which nothing was done. */
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
    // What a schema change stored has reasons of its own; its rows are as new.
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

/** Whether nothing was done because somebody else is at it. */
export function isBusy(result: RefreshResult): boolean {
  return result.outcome === 'skipped' && result.reason === 'busy';
}

/** What the history and the state get of a success. A view that takes the place of another was never counted. */
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
