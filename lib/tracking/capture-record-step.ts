import type { ViewDefinition } from '../definition/view-definition.js';
import { displayNames } from '../postgres/identifier.js';
import { STATE_LOCK } from '../postgres/lock-words.js';
import { type CaptureOfView, recordCaptures } from '../postgres/state.sql.js';
import type { CaptureDifference } from './capture-diff.js';
import type { CaptureStep } from './capture-steps.js';

interface ViewWithDifferences {
  view: ViewDefinition;
  differences: readonly (CaptureDifference | { kind: string })[];
}

type RecordDifference = Extract<CaptureDifference, { kind: 'capture-record' }>;

/** Makes the database remember which changes views track. Processes go by that record alone. */
export function captureRecordSteps(
  views: readonly ViewWithDifferences[],
  stateSchema: string,
): CaptureStep[] {
  const changes = views.flatMap(({ view, differences }) =>
    differences.filter(isOfRecord).map((difference) => ({ view, ...difference })),
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

function isOfRecord(difference: { kind: string }): difference is RecordDifference {
  return difference.kind === 'capture-record';
}
