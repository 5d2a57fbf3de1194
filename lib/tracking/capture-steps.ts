import {
  createCapture,
  dropCapture,
  lockAgainstAll,
  lockAgainstWriters,
} from '../postgres/capture.sql.js';
import { displayNames, type QualifiedName, quoteQualifiedName } from '../postgres/identifier.js';
import { EXCLUSIVE_LOCK, WRITERS_LOCK } from '../postgres/lock-words.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import type { CaptureDifference } from './capture-diff.js';

/** A change to the tracking, as a step of a plan. */
export interface CaptureStep {
  action: 'capture' | 'record';
  /** Why, in a sentence. */
  reason: string;
  statements: SqlStatement[];
  /** What undoes the step. */
  undo: SqlStatement[];
  /** The strongest lock, and whom it stops. */
  lock: string;
  rewritesRows: false;
}

/** The tables that views need and whose changes are not captured, or not completely. */
export function uncapturedTables(differences: readonly CaptureDifference[]): QualifiedName[] {
  return [...tablesOf(differences, 'capture-missing'), ...tablesOf(differences, 'capture-changed')];
}

/** One step for all tables: if one of the locks is not free, all are released. */
export function captureSteps(
  differences: readonly CaptureDifference[],
  stateSchema: string,
): CaptureStep[] {
  return captureStepsOf(
    {
      missing: tablesOf(differences, 'capture-missing'),
      changed: tablesOf(differences, 'capture-changed'),
      superfluous: superfluousTables(differences),
    },
    stateSchema,
  );
}

/** The tables whose changes are captured but that no view needs any more. */
function superfluousTables(differences: readonly CaptureDifference[]): QualifiedName[] {
  return differences.flatMap((each) => (each.kind === 'capture-superfluous' ? [each.subject] : []));
}

/** Tables by what must be done with their triggers. */
export interface CaptureChanges {
  missing?: QualifiedName[];
  changed?: QualifiedName[];
  superfluous?: QualifiedName[];
}

/** One step for all these changes; none if there are none. */
export function captureStepsOf(changes: CaptureChanges, stateSchema: string): CaptureStep[] {
  const { missing = [], changed = [], superfluous = [] } = changes;
  const added = [...missing, ...changed];
  const dropped = [...changed, ...superfluous];
  if (added.length + dropped.length === 0) {
    return [];
  }
  const reasons = [
    ...(added.length > 0 ? [`Changes of ${displayNames(added)} have to be captured`] : []),
    ...(superfluous.length > 0
      ? [`No view needs those of ${displayNames(superfluous)} any more`]
      : []),
  ];
  return [
    {
      action: 'capture',
      reason: reasons.join('; '),
      statements: [
        ...locks(missing, dropped),
        ...dropped.flatMap((table) => dropCapture(stateSchema, table)),
        ...added.flatMap((table) => createCapture(stateSchema, table)),
      ],
      undo: [
        ...locks(superfluous, added),
        ...added.flatMap((table) => dropCapture(stateSchema, table)),
        ...superfluous.flatMap((table) => createCapture(stateSchema, table)),
      ],
      lock: dropped.length > 0 ? EXCLUSIVE_LOCK : WRITERS_LOCK,
      rewritesRows: false,
    },
  ];
}

function locks(againstWriters: QualifiedName[], againstAll: QualifiedName[]): SqlStatement[] {
  return [
    ...(againstWriters.length > 0 ? [lockAgainstWriters(againstWriters)] : []),
    ...(againstAll.length > 0 ? [lockAgainstAll(againstAll)] : []),
  ];
}

function tablesOf(
  differences: readonly CaptureDifference[],
  kind: 'capture-missing' | 'capture-changed',
): QualifiedName[] {
  const tables = differences.flatMap((each) => (each.kind === kind ? [each.table] : []));
  const byName = new Map(tables.map((table) => [quoteQualifiedName(table), table]));
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}
