import { allowsChanges } from '../../definition/policy-rights.js';
import { viewName } from '../../definition/view-definition.js';
import { type RecordDifference, recordDifferences } from '../../tracking/capture-record.js';
import { captureRecordSteps } from '../../tracking/capture-record-step.js';
import type { Aspect } from './aspect.js';

/** Which changes views track, as the database remembers. Processes rely on that alone. */
export const captureRecordAspect: Aspect<undefined, RecordDifference> = {
  kinds: ['capture-record'],
  order: 'last',
  // Read with the state, and renamed with it.
  read: () => Promise.resolve(undefined),
  diff: (_, { views, state, policy }) =>
    recordDifferences(views, state.known, allowsChanges(policy)),
  right: () => 'create',
  steps: (differences, { stateSchema, failed }) =>
    captureRecordSteps(
      differences.filter(({ view }) => !failed.has(viewName(view))),
      stateSchema,
    ),
  describe: ({ remembered }) =>
    remembered === null
      ? 'the database does not track changes for it yet'
      : 'the database does not track for it what the class declares',
};
