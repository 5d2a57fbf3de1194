import { allowsChanges } from '../../definition/policy-rights.js';
import { type CapturedTableRow, selectCapturedTables } from '../../postgres/capture.sql.js';
import { type CaptureDifference, diffCaptures } from '../../tracking/capture-diff.js';
import { type CaptureNeeds, readCaptureNeeds } from '../../tracking/capture-needs.js';
import { captureSteps } from '../../tracking/capture-steps.js';
import { describeCaptureDifference } from '../../tracking/capture-warnings.js';
import type { Aspect, Right } from './aspect.js';

const RIGHTS: Record<CaptureDifference['kind'], Right> = {
  'capture-missing': 'create',
  'capture-changed': 'change',
  'capture-superfluous': 'change',
  'capture-left-over': 'never',
  'table-missing': 'never',
};

export interface Captures {
  needs: CaptureNeeds;
  captured: CapturedTableRow[];
}

/** The triggers that capture the changes of tables. */
export const captureAspect: Aspect<Captures, CaptureDifference> = {
  kinds: Object.keys(RIGHTS) as CaptureDifference['kind'][],
  order: 'last',
  read: async (session, { views, state, policy, gone, standIns, stateSchema }) => ({
    needs: await readCaptureNeeds(session, {
      definitions: views,
      known: state.known,
      mayNarrow: allowsChanges(policy),
      gone,
      standIns,
    }),
    captured: await session.query<CapturedTableRow>(selectCapturedTables(stateSchema)),
  }),
  diff: ({ needs, captured }, { views }) => diffCaptures(views, needs, captured),
  right: ({ kind }) => RIGHTS[kind],
  steps: (differences, { stateSchema }) => captureSteps(differences, stateSchema),
  describe: describeCaptureDifference,
};
