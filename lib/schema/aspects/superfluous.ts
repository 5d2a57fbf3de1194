import type { ResolvedOptions } from '../../definition/module.options.js';
import { longForCaptures, patiently } from '../../postgres/lock-attempts.js';
import type { Session } from '../../postgres/session.js';
import { readSteadily } from '../steady-read.js';
import { aspectSteps, compareAspects, rightOf } from './aspects.js';

/**
 * Takes away what no view needs that the database remembers, once views have been dropped. Waits long for the locks, and gives
 * all of them back where it cannot have one.
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
