import { viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { displayName, displayNames } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { errorCode } from '../postgres/sqlstate.js';
import { findCycle } from './dependency-cycle.js';
import type { Rehearsed } from './rehearsal.js';
import type { StandInError } from './stand-ins.js';
import { keepsOldName, type ViewDiff } from './schema-diff.js';
import type { SkippedView } from './schema-plan.js';
import { hasOtherDefinition } from './sync-policy.js';

interface FailureContext {
  policy: SyncPolicy;
  /** What the policy leaves unchanged. */
  left: ViewDiff[];
  /** What would work if it left nothing. */
  rehearseAsDeclared: () => Promise<Rehearsed>;
}

/** Views that can't be created. */
export interface FailedViews {
  skipped: SkippedView[];
  /** Those that can't be created in any case, the ones with their own errors first. */
  failing: StandInError[];
}

/**
 * Separates views that can't be created and are left out from those that stop the whole change. Only a new view can be left
 * out, if a table is missing. If an existing view can't be rebuilt, everything stays as it is.
 *
 * @throws DependencyCycleError if views wait for each other
 */
export async function partFailures(
  session: Session,
  failures: StandInError[],
  { policy, left, rehearseAsDeclared }: FailureContext,
): Promise<FailedViews> {
  const changed = left.filter(hasOtherDefinition);
  const others = left.filter((each) => changed.includes(each) || keepsOldName(each));
  const standing =
    failures.length > 0 && changed.length > 0 ? (await rehearseAsDeclared()).members : [];
  const isStanding = new Set(standing.map(({ name }) => displayName(name)));
  // Trying whether it works under the new names would stop the readers of the old views.
  const mayBeRenamed = left.some(keepsOldName);
  const waiting = failures.filter(
    ({ member, isForWantOfSomething }) =>
      isStanding.has(displayName(member.name)) || (mayBeRenamed && isForWantOfSomething),
  );
  const failed = failures.filter((failure) => !waiting.includes(failure));
  const isLeftOut = await mayBeLeftOut(session, failed, policy);
  return {
    skipped: [
      ...waiting.map((failure) => ({
        view: viewOf(failure),
        reason: `it is missing, and cannot be created while ${displayNames(others.map(({ view }) => view.name))} is left as it is (${errorCode(failure.cause)}: ${failure.message})`,
      })),
      ...failed.map((failure) => ({ view: viewOf(failure), reason: failure.message })),
    ],
    failing: isLeftOut ? [] : failed.sort(mistakesFirst),
  };
}

async function mayBeLeftOut(
  session: Session,
  failed: StandInError[],
  policy: SyncPolicy,
): Promise<boolean> {
  if (failed.some(({ isForWantOfSomething }) => !isForWantOfSomething)) {
    return false;
  }
  await findCycle(
    session,
    failed.map(({ member }) => member),
  );
  return policy.onMissingTable === 'skip' && failed.every(({ member }) => !member.deployed);
}

function mistakesFirst(one: StandInError, other: StandInError): number {
  return Number(one.isForWantOfSomething) - Number(other.isForWantOfSomething);
}

function viewOf({ member }: StandInError): string {
  return member.definition ? viewName(member.definition) : displayName(member.name);
}
