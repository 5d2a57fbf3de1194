import type { Session } from '../../postgres/session.js';
import type { PlanStep } from '../plan-step.js';
import type { Aspect, AspectDifference, AspectInput, Right, StepInput } from './aspect.js';
import { captureAspect } from './capture.aspect.js';
import { captureRecordAspect } from './capture-record.aspect.js';
import { byKind, type DifferenceOf } from './kinds.js';
import { installationAspect } from './installation.aspect.js';
import { pgCronAspect } from './pg-cron.aspect.js';
import { wakeUpAspect } from './wake-up.aspect.js';

/** All aspects, in the order of their steps. From the steps of `captureAspect` on, writers wait. */
const ASPECTS = [
  installationAspect,
  captureRecordAspect,
  pgCronAspect,
  captureAspect,
  wakeUpAspect,
] as const satisfies readonly Aspect[];

/** A difference found by any of the aspects. */
export type AnyAspectDifference = DifferenceOf<(typeof ASPECTS)[number]>;

const BY_KIND = byKind<Aspect>(ASPECTS);

/** What the database has besides views, compared with the code. */
export async function compareAspects(
  session: Pick<Session, 'query'>,
  input: AspectInput,
): Promise<AnyAspectDifference[]> {
  const differences: AspectDifference[] = [];
  for (const aspect of ASPECTS as readonly Aspect[]) {
    differences.push(...aspect.diff(await aspect.read(session, input), input));
  }
  return differences as AnyAspectDifference[];
}

/** Whether an aspect found it, not the comparison of views. */
export function isOfAspect(difference: { kind: string }): difference is AnyAspectDifference {
  return BY_KIND.has(difference.kind);
}

/** What a policy must allow for the difference to be fixed. */
export function rightOf(difference: AspectDifference): Right {
  return BY_KIND.get(difference.kind)?.right(difference) ?? 'never';
}

/** In words; `undefined` for a difference that isn't reported. */
export function describeOfAspect(difference: AspectDifference): string | undefined {
  return BY_KIND.get(difference.kind)?.describe(difference);
}

/** The steps of all aspects of one order. */
export function aspectSteps(
  order: Aspect['order'],
  differences: readonly AspectDifference[],
  input: StepInput,
): PlanStep[] {
  return ASPECTS.filter((aspect) => aspect.order === order).flatMap((aspect: Aspect) => {
    const own = differences.filter(({ kind }) => aspect.kinds.includes(kind));
    return own.length === 0 ? [] : aspect.steps(own, input);
  });
}
