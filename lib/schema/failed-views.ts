import { viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { displayName, displayNames } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { errorCode } from '../postgres/sqlstate.js';
import { findCycle } from './dependency-cycle.js';
import type { StandInError } from './stand-ins.js';
import type { ViewDiff } from './schema-diff.js';
import { makingOf, SchemaStepError } from './schema-error.js';
import type { SkippedView } from './schema-plan.js';
import { hasOtherDefinition } from './sync-policy.js';

interface FailureContext {
  policy: SyncPolicy;
  /** What the policy leaves as it is. */
  left: ViewDiff[];
  /** The names of the views that would stand if it left nothing. */
  standingAsDeclared: () => Promise<ReadonlySet<string>>;
}

/**
 * The views that cannot be made and are left out. Only a new one can be; where an old one cannot be made anew, all
 * stays as it is.
 *
 * @throws SchemaStepError when a view cannot be made for a reason that lies in itself, or, unless the policy is to
 *   skip it, for want of a table
 * @throws DependencyCycleError when views wait for each other
 */
export async function skippedFailures(
  session: Session,
  failures: StandInError[],
  { policy, left, standingAsDeclared }: FailureContext,
): Promise<SkippedView[]> {
  const others = left.filter(hasOtherDefinition);
  const standing =
    failures.length > 0 && others.length > 0 ? await standingAsDeclared() : new Set<string>();
  const waiting = failures.filter(({ member }) => standing.has(displayName(member.name)));
  const failed = failures.filter((failure) => !waiting.includes(failure));
  await refuse(session, failed, policy);
  return [
    ...waiting.map((failure) => ({
      view: viewOf(failure),
      reason: `it is missing, and cannot be made while ${displayNames(others.map(({ view }) => view.name))} is left as it is (${errorCode(failure.cause)}: ${failure.message})`,
    })),
    ...failed.map((failure) => ({ view: viewOf(failure), reason: failure.message })),
  ];
}

async function refuse(session: Session, failed: StandInError[], policy: SyncPolicy): Promise<void> {
  const mistake = failed.find(({ isForWantOfSomething }) => !isForWantOfSomething);
  if (mistake !== undefined) {
    throw mistake;
  }
  if (failed.length === 0) {
    return;
  }
  await findCycle(
    session,
    failed.map(({ member }) => member),
  );
  const isNew = failed.every(({ member }) => member.deployed === undefined);
  if (policy.onMissingTable === 'fail' || !isNew) {
    const views = failed.flatMap(({ view }) => view ?? []);
    throw new SchemaStepError(failed[0]?.cause, makingOf(...views));
  }
}

function viewOf({ member }: StandInError): string {
  return member.definition ? viewName(member.definition) : displayName(member.name);
}
