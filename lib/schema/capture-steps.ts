import {
  createCapture,
  dropCapture,
  lockAgainstAll,
  lockAgainstWriters,
} from '../postgres/capture.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { EXCLUSIVE_LOCK, type PlanStep, WRITERS_LOCK } from './plan-step.js';
import type { SchemaDiff } from './schema-diff.js';

/**
 * One step for all tables: while it waits for one of them it must not hold another, whose writers would
 * wait as long.
 */
export function captureSteps(diff: SchemaDiff, stateSchema: string): PlanStep[] {
  const missing = tablesOf(diff, 'capture-missing');
  const changed = tablesOf(diff, 'capture-changed');
  const superfluous = diff.superfluousCaptures;
  const added = [...missing, ...changed];
  const dropped = [...changed, ...superfluous];
  if (added.length + dropped.length === 0) {
    return [];
  }
  const reasons = [
    ...(added.length > 0 ? [`Changes of ${list(added)} are to be captured`] : []),
    ...(superfluous.length > 0 ? [`No view needs those of ${list(superfluous)} any more`] : []),
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
  { views }: SchemaDiff,
  kind: 'capture-missing' | 'capture-changed',
): QualifiedName[] {
  const tables = views.flatMap(({ differences }) =>
    differences.flatMap((difference) => (difference.kind === kind ? [difference.table] : [])),
  );
  const byName = new Map(tables.map((table) => [displayName(table), table]));
  return [...byName.keys()].sort().flatMap((name) => byName.get(name) ?? []);
}

function list(tables: QualifiedName[]): string {
  return tables.map((table) => `"${displayName(table)}"`).join(', ');
}
