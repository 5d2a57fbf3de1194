import { displayNames } from '../postgres/identifier.js';
import { STATE_LOCK } from '../postgres/lock-words.js';
import { type CaptureOfView, recordCaptures } from '../postgres/state.sql.js';
import type { RecordDifference } from './capture-record.js';
import type { CaptureStep } from './capture-steps.js';

/** Makes the database remember which changes views track. Processes rely only on that record. */
export function captureRecordSteps(
  differences: readonly RecordDifference[],
  stateSchema: string,
): CaptureStep[] {
  if (differences.length === 0) {
    return [];
  }
  const records = (of: 'wanted' | 'remembered'): CaptureOfView[] =>
    differences.map(({ view, [of]: capture }) => ({ view: view.name, capture }));
  const names = displayNames(differences.map(({ view }) => view.name));
  return [
    {
      action: 'record',
      reason: `The database does not track for ${names} what the class declares`,
      statements: [recordCaptures(stateSchema, records('wanted'))],
      undo: [recordCaptures(stateSchema, records('remembered'))],
      lock: STATE_LOCK,
      rewritesRows: false,
    },
  ];
}
