import type { ResolvedOptions } from '../../definition/module.options.js';
import { longForCaptures, patiently } from '../../postgres/lock-attempts.js';
import type { Session } from '../../postgres/session.js';
import { readSteadily } from '../steady-read.js';
import { aspectSteps, compareAspects, rightOf } from './aspects.js';

/**
 * Removes what no remembered view needs, once views have been dropped. Waits long for the locks, and releases all of them if
 * one is not free.
 */
export async function removeSuperfluous(session: Session, options: ResolvedOptions): Promise<void> {
  const { stateSchema, syncPolicy: policy, lockTimeoutMs } = options;
  const found = await compareAspects(session, {
    ...{ stateSchema, policy, options, views: [], standIns: [] },
    state: await readSteadily(session, stateSchema, []),
    gone: new Set(),
  });
  const superfluous = found.filter((each) => rightOf(each) === 'change');
  const steps = aspectSteps('last', superfluous, { stateSchema, failed: new Set() });
  const work = async (): Promise<void> => {
    for (const statement of steps.flatMap((step) => step.statements)) {
      await session.query(statement);
    }
  };
  await patiently(session, lockTimeoutMs, work, longForCaptures(lockTimeoutMs));
}
