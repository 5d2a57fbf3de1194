import type { WakeUp } from '../definition/module.options.js';
import {
  createCapture,
  dropCapture,
  lockAgainstAll,
  lockAgainstWriters,
} from '../postgres/capture.sql.js';
import { displayNames, type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { createWakeUp, dropWakeUp, WAKE_UP_TABLE } from '../postgres/wake-up.sql.js';
import { EXCLUSIVE_LOCK, type PlanStep, WRITERS_LOCK } from './plan-step.js';
import type { SchemaDiff, WakeUpDifference } from './schema-diff.js';

/**
 * One step for all tables, the change log included: when it cannot have one of the locks, it gives all of them back.
 * It must not hold up the writers of one table for as long as it waits for another.
 */
export function captureSteps(diff: SchemaDiff, stateSchema: string): PlanStep[] {
  return captureStepsOf(
    {
      missing: tablesOf(diff, 'capture-missing'),
      changed: tablesOf(diff, 'capture-changed'),
      superfluous: diff.superfluousCaptures,
      wakeUp: diff.wakeUp,
    },
    stateSchema,
  );
}

/** The tables whose changes views need and that are not captured, or not completely. */
export function uncapturedTables(diff: SchemaDiff): QualifiedName[] {
  return [...tablesOf(diff, 'capture-missing'), ...tablesOf(diff, 'capture-changed')];
}

/** Tables by what has to be done with their triggers. */
export interface CaptureChanges {
  missing?: QualifiedName[];
  changed?: QualifiedName[];
  superfluous?: QualifiedName[];
  wakeUp?: WakeUpDifference;
}

/** One step for all these changes; none when there are none. */
export function captureStepsOf(changes: CaptureChanges, stateSchema: string): PlanStep[] {
  const { missing = [], changed = [], superfluous = [] } = changes;
  const added = [...missing, ...changed];
  const dropped = [...changed, ...superfluous];
  const wakeUp = wakeUpParts(changes.wakeUp, stateSchema);
  if (added.length + dropped.length + wakeUp.reasons.length === 0) {
    return [];
  }
  const reasons = [
    ...(added.length > 0 ? [`Changes of ${displayNames(added)} are to be captured`] : []),
    ...(superfluous.length > 0
      ? [`No view needs those of ${displayNames(superfluous)} any more`]
      : []),
    ...wakeUp.reasons,
  ];
  return [
    {
      action: 'capture',
      reason: reasons.join('; '),
      statements: [
        ...locks([...missing, ...wakeUp.added], [...dropped, ...wakeUp.dropped]),
        ...dropped.flatMap((table) => dropCapture(stateSchema, table)),
        ...added.flatMap((table) => createCapture(stateSchema, table)),
        ...wakeUp.statements,
      ],
      undo: [
        ...locks([...superfluous, ...wakeUp.dropped], [...added, ...wakeUp.added]),
        ...added.flatMap((table) => dropCapture(stateSchema, table)),
        ...superfluous.flatMap((table) => createCapture(stateSchema, table)),
        ...wakeUp.undo,
      ],
      lock: dropped.length + wakeUp.dropped.length > 0 ? EXCLUSIVE_LOCK : WRITERS_LOCK,
      rewritesRows: false,
    },
  ];
}

interface WakeUpParts extends Pick<PlanStep, 'statements' | 'undo'> {
  reasons: string[];
  /** The change log, when a trigger is only added to it. */
  added: QualifiedName[];
  /** The change log, when a trigger of it is dropped. */
  dropped: QualifiedName[];
}

function wakeUpParts(wakeUp: WakeUpDifference | undefined, stateSchema: string): WakeUpParts {
  const log = [{ schema: stateSchema, name: WAKE_UP_TABLE }];
  const create = createWakeUp(stateSchema);
  const drop = dropWakeUp(stateSchema);
  if (wakeUp === undefined) {
    return { reasons: [], added: [], dropped: [], statements: [], undo: [] };
  }
  const reasons = [describeWakeUp(wakeUp.wanted)];
  if (wakeUp.wanted === 'poll') {
    return { reasons, added: [], dropped: log, statements: drop, undo: create };
  }
  return wakeUp.replaces
    ? { reasons, added: [], dropped: log, statements: [...drop, ...create], undo: drop }
    : { reasons, added: log, dropped: [], statements: create, undo: drop };
}

/** What is to change, in words for plans and differences. */
export function describeWakeUp(wanted: WakeUp): string {
  return wanted === 'notify'
    ? "Writers are to wake processes up by NOTIFY (`wakeUp: 'notify'`)"
    : "Writers are to notify nobody any more (`wakeUp: 'poll'`)";
}

function locks(againstWriters: QualifiedName[], againstAll: QualifiedName[]): SqlStatement[] {
  return [
    ...(againstWriters.length > 0 ? [lockAgainstWriters(againstWriters)] : []),
    ...(againstAll.length > 0 ? [lockAgainstAll(againstAll)] : []),
  ];
}

function tablesOf(
  { views }: SchemaDiff,
  kind: 'capture-missing' | 'capture-changed',
): QualifiedName[] {
  const tables = views.flatMap(({ differences }) =>
    differences.flatMap((difference) => (difference.kind === kind ? [difference.table] : [])),
  );
  const byName = new Map(tables.map((table) => [quoteQualifiedName(table), table]));
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}
