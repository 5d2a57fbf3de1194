import { selectWakeUpTrigger, type WakeUpTriggerRow } from '../../postgres/wake-up.sql.js';
import {
  describeWakeUp,
  type WakeUpDifference,
  wakeUpDifferences,
  wakeUpSteps,
} from '../../tracking/wake-up.js';
import type { Aspect } from './aspect.js';

/** The trigger with which writers wake processes. */
export const wakeUpAspect: Aspect<WakeUpTriggerRow | undefined, WakeUpDifference> = {
  kinds: ['wake-up'],
  order: 'last',
  read: async (session, { stateSchema }) => {
    const [trigger] = await session.query<WakeUpTriggerRow>(selectWakeUpTrigger(stateSchema));
    return trigger;
  },
  diff: (trigger, { options, stateSchema }) =>
    wakeUpDifferences(options.wakeUp, trigger, stateSchema),
  right: () => 'always',
  steps: (differences, { stateSchema }) => wakeUpSteps(differences, stateSchema),
  describe: describeWakeUp,
};
