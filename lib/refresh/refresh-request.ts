import { randomUUID } from 'node:crypto';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { RefreshTrigger, SkippedResult, SkipReason } from './refresh-result.js';

/** One wish to refresh one view. */
export interface RefreshRequest {
  runId: string;
  definition: ViewDefinition;
  trigger: RefreshTrigger;
  /** The instant of the cron grid that this refresh is for; it is done at most once in the cluster. */
  tick?: Date;
}

export function demandRequest(definition: ViewDefinition): RefreshRequest {
  return { runId: randomUUID(), definition, trigger: 'demand' };
}

export function tickRequest(definition: ViewDefinition, tick: Date): RefreshRequest {
  return { runId: randomUUID(), definition, trigger: 'schedule', tick };
}

/** The result of a request for which nothing was done. */
export function skippedResult(
  { definition, runId, trigger }: RefreshRequest,
  reason: SkipReason,
  at: Date,
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
