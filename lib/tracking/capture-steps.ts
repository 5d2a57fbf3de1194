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
import { EXCLUSIVE_LOCK, WRITERS_LOCK } from '../postgres/lock-words.js';
import type { CaptureDiff, CaptureDifference, WakeUpDifference } from './capture-diff.js';

/** What has to be done to the tracking, as a step of a plan. */
export interface CaptureStep {
  action: 'capture' | 'record';
  /** Why, in a sentence. */
  reason: string;
  statements: SqlStatement[];
  /** What takes the step back. */
  undo: SqlStatement[];
  /** The strongest lock, and whom it stops. */
  lock: string;
  rewritesRows: false;
}

type Differences = readonly (CaptureDifference | { kind: string })[];

/**
 * One step for all tables, the change log included: when it cannot have one of the locks, it gives all of them back.
 * It must not hold up the writers of one table for as long as it waits for another.
 */
export function captureSteps(
  differences: Differences,
  { superfluous, wakeUp }: Pick<CaptureDiff, 'superfluous' | 'wakeUp'>,
  stateSchema: string,
): CaptureStep[] {
  return captureStepsOf(
    {
      missing: tablesOf(differences, 'capture-missing'),
      changed: tablesOf(differences, 'capture-changed'),
      superfluous,
      wakeUp,
    },
    stateSchema,
  );
}

/** The tables whose changes views need and that are not captured, or not completely. */
export function uncapturedTables(differences: Differences): QualifiedName[] {
  return [...tablesOf(differences, 'capture-missing'), ...tablesOf(differences, 'capture-changed')];
}

/** Tables by what has to be done with their triggers. */
export interface CaptureChanges {
  missing?: QualifiedName[];
  changed?: QualifiedName[];
  superfluous?: QualifiedName[];
  wakeUp?: WakeUpDifference;
}

/** One step for all these changes; none when there are none. */
export function captureStepsOf(changes: CaptureChanges, stateSchema: string): CaptureStep[] {
  const { missing = [], changed = [], superfluous = [] } = changes;
  const added = [...missing, ...changed];
  const dropped = [...changed, ...superfluous];
  const wakeUp = wakeUpParts(changes.wakeUp, stateSchema);
  if (added.length + dropped.length + wakeUp.reasons.length === 0) {
    return [];
  }
  const reasons = [
    ...(added.length > 0 ? [`Changes of ${displayNames(added)} have to be captured`] : []),
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

interface WakeUpParts extends Pick<CaptureStep, 'statements' | 'undo'> {
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

/** What has to change, in words for plans and differences. */
export function describeWakeUp(wanted: WakeUp): string {
  return wanted === 'notify'
    ? "Writers should wake processes up by NOTIFY (`wakeUp: 'notify'`)"
    : "Writers should notify nobody any more (`wakeUp: 'poll'`)";
}

function locks(againstWriters: QualifiedName[], againstAll: QualifiedName[]): SqlStatement[] {
  return [
    ...(againstWriters.length > 0 ? [lockAgainstWriters(againstWriters)] : []),
    ...(againstAll.length > 0 ? [lockAgainstAll(againstAll)] : []),
  ];
}

function tablesOf(
  differences: Differences,
  kind: 'capture-missing' | 'capture-changed',
): QualifiedName[] {
  const tables = differences.flatMap((difference) =>
    difference.kind === kind && 'table' in difference ? [difference.table] : [],
  );
  const byName = new Map(tables.map((table) => [quoteQualifiedName(table), table]));
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}
