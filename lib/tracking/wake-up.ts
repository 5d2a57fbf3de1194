import type { WakeUp } from '../definition/module.options.js';
import { lockAgainstAll, lockAgainstWriters } from '../postgres/capture.sql.js';
import type { QualifiedName } from '../postgres/identifier.js';
import { EXCLUSIVE_LOCK, WRITERS_LOCK } from '../postgres/lock-words.js';
import {
  createWakeUp,
  dropWakeUp,
  WAKE_UP_TABLE,
  type WakeUpTriggerRow,
} from '../postgres/wake-up.sql.js';
import type { CaptureStep } from './capture-steps.js';

/** Writers don't wake processes as the option `wakeUp` says. */
export interface WakeUpDifference {
  kind: 'wake-up';
  /** The change log. */
  subject: QualifiedName;
  wanted: WakeUp;
  /** Whether there is a trigger that must be dropped. */
  replaces: boolean;
}

/** @param trigger `undefined` if nothing wakes processes */
export function wakeUpDifferences(
  wanted: WakeUp,
  trigger: WakeUpTriggerRow | undefined,
  stateSchema: string,
): WakeUpDifference[] {
  const replaces = trigger !== undefined;
  const isAsWanted = wanted === 'notify' ? trigger?.is_complete : !replaces;
  const subject = { schema: stateSchema, name: WAKE_UP_TABLE };
  return isAsWanted ? [] : [{ kind: 'wake-up', subject, wanted, replaces }];
}

export function wakeUpSteps(
  differences: readonly WakeUpDifference[],
  stateSchema: string,
): CaptureStep[] {
  const create = createWakeUp(stateSchema);
  const drop = dropWakeUp(stateSchema);
  return differences.map((difference) => {
    const { subject, wanted, replaces } = difference;
    return {
      action: 'capture',
      reason: describeWakeUp(difference),
      statements: [
        replaces ? lockAgainstAll([subject]) : lockAgainstWriters([subject]),
        ...(replaces ? drop : []),
        ...(wanted === 'notify' ? create : []),
      ],
      undo:
        wanted === 'notify'
          ? [lockAgainstAll([subject]), ...drop]
          : [lockAgainstWriters([subject]), ...create],
      lock: replaces ? EXCLUSIVE_LOCK : WRITERS_LOCK,
      rewritesRows: false,
    };
  });
}

/** What must change, in words for plans and differences. */
export function describeWakeUp({ wanted }: WakeUpDifference): string {
  return wanted === 'notify'
    ? "Writers should wake processes by NOTIFY (`wakeUp: 'notify'`)"
    : "Writers should no longer notify (`wakeUp: 'poll'`)";
}
