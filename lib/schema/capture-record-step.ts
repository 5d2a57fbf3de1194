import { viewName } from '../definition/view-definition.js';
import { displayNames } from '../postgres/identifier.js';
import { type CaptureOfView, recordCaptures } from '../postgres/state.sql.js';
import { type PlanStep, STATE_LOCK } from './plan-step.js';
import type { SchemaDiff } from './schema-diff.js';

/** Has the database remember which changes views are told of. Processes go by that record alone. */
export function captureRecordSteps(
  { views }: SchemaDiff,
  stateSchema: string,
  failed: ReadonlySet<string>,
): PlanStep[] {
  const changes = views
    .filter(({ view }) => !failed.has(viewName(view)))
    .flatMap(({ view, differences }) =>
      differences.flatMap((difference) =>
        difference.kind === 'capture-record' ? [{ view, ...difference }] : [],
      ),
    );
  if (changes.length === 0) {
    return [];
  }
  const records = (of: 'wanted' | 'remembered'): CaptureOfView[] =>
    changes.map(({ view, [of]: capture }) => ({ view: view.name, capture }));
  const names = displayNames(changes.map(({ view }) => view.name));
  return [
    {
      action: 'record',
      reason: `The changes that refresh ${names} are not those that the class declares`,
      statements: [recordCaptures(stateSchema, records('wanted'))],
      undo: [recordCaptures(stateSchema, records('remembered'))],
      lock: STATE_LOCK,
      rewritesRows: false,
    },
  ];
}
