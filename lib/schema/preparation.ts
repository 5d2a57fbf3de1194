import { type CaptureNeed, readCaptureNeeds } from '../freshness/capture-needs.js';
import { refuseUnknowable } from '../freshness/freshness-refusal.js';
import { implyFreshness } from '../freshness/implied-freshness.js';
import { viewName } from '../definition/view-definition.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { setLocalLimits } from '../postgres/transaction.sql.js';
import { withCaptures, withWakeUp } from './capture-diff.js';
import { compare, type Compared } from './comparison.js';
import { columnsToBe, refuseMissingColumns } from './declared-columns.js';
import { skippedFailures } from './failed-views.js';
import { patiently } from './lock-attempts.js';
import { waitForLock } from './lock-wait.js';
import { type TouchedView, touchedViews } from './migration-checks.js';
import { refuseTakenNames } from './name-conflicts.js';
import type { PreparationContext } from './preparation-context.js';
import {
  type ClosureInput,
  type ClosureMember,
  closeOverDependents,
  closureOf,
} from './rebuild-closure.js';
import { rehearse } from './rehearsal.js';
import { movesOf } from './rename-steps.js';
import type { SchemaDiff, ViewDiff } from './schema-diff.js';
import { planSchema, type SchemaPlan, type SkippedView, unpopulated } from './schema-plan.js';
import { allowsChanges, applyPolicy, describeDifference, prunes } from './sync-policy.js';

/** A plan, with what it was made from. */
export interface Prepared {
  diff: SchemaDiff;
  /** What the policy leaves as it is. */
  left: ViewDiff[];
  plan: SchemaPlan;
  /** The views that the plan touches. */
  touched: TouchedView[];
}

const REBUILT_FOR: ReadonlySet<string> = new Set([
  'missing',
  'plain-view',
  'definition',
  'access-method',
]);

/**
 * Works out what to do, in the caller's transaction: snapshot, comparison, diff, closure, rehearsal,
 * plan. All of it is undone again but the locks that keep refreshes away.
 */
export async function prepare(session: Session, context: PreparationContext): Promise<Prepared> {
  const { views, stateSchema, policy } = context;
  const compared = await compare(session, context);
  const { renames, createdSchemas, state, diff, names } = compared;
  const { allowed, left: diffLeft } = applyPolicy(diff, policy, stateSchema);
  const missingSchemas = [...createdSchemas, ...allowed.missingSchemas];
  const orphans = prunes(policy) ? diff.orphans : [];
  const gone = new Set(orphans.map(({ name }) => displayName(name)));
  const closure = closeOverDependents({
    changed: membersOf(allowed),
    ...managedViews(diff),
    pruned: gone,
    state,
    policy: policy.unmanagedDependents,
  });
  refuseTakenNames({ allowed, closure, pruned: gone, state });
  await holdOffRefreshes(session, context, [
    ...touched(allowed, closure),
    ...renames.map(({ from }) => from),
    ...orphans.map(({ name }) => name),
  ]);
  const anew = new Set(closure.map(({ name }) => displayName(name)));
  let needs = new Map<string, CaptureNeed>();
  const rehearsed = await patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
    rehearse(session, closure, {
      missingSchemas,
      strategy: policy.changeStrategy,
      dropped: orphans.map(({ name }) => name),
      going: orphans,
      moves: movesOf(renames.filter(({ view }) => !anew.has(viewName(view)))),
      names,
      waitMs,
      filled: unpopulated(allowed),
      look: async (standIns) => {
        await implyFreshness(session, stateSchema, views, standIns);
        await refuseUnknowable(session, stateSchema, views, standIns);
        needs = await readCaptureNeeds(session, {
          definitions: views,
          known: state.known,
          mayNarrow: allowsChanges(policy),
          gone,
          standIns,
          skipsMissing: policy.onMissingTable === 'skip',
        });
      },
    }),
  );
  const failed = await skippedFailures(session, rehearsed.failed, {
    policy,
    left: diffLeft,
    standingAsDeclared: () => standingAsDeclared(session, context, compared),
  });
  refuseMissingColumns(columnsToBe(diff, rehearsed.members, diffLeft));
  const captured = withWakeUp(
    withCaptures(diff, needs, state, allowsChanges(policy)),
    context.wakeUp,
    state.wakeUpTrigger,
  );
  const { allowed: wanted, left } = applyPolicy(captured, policy, stateSchema);
  return {
    diff: captured,
    left,
    touched: touchedViews(wanted, rehearsed, names),
    plan: planSchema({
      dataSource: context.dataSource,
      diff: { ...wanted, missingSchemas },
      renames,
      rehearsed,
      names,
      state,
      policy,
      left: left.map(leftByPolicy),
      failed,
    }),
  };
}

/** The views that could be made, or made anew, if nothing were left as it is: `schema.name`. */
async function standingAsDeclared(
  session: Session,
  context: PreparationContext,
  { diff, state, names }: Compared,
): Promise<Set<string>> {
  const { members } = closureOf({
    changed: membersOf(diff),
    ...managedViews(diff),
    pruned: new Set(),
    state,
    policy: 'rebuild',
  });
  await holdOffRefreshes(
    session,
    context,
    members.map(({ name }) => name),
  );
  const rehearsed = await patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
    rehearse(session, members, {
      missingSchemas: diff.missingSchemas,
      strategy: context.policy.changeStrategy,
      dropped: [],
      going: [],
      moves: [],
      names,
      waitMs,
      filled: new Set(),
      look: () => Promise.resolve(),
    }),
  );
  return new Set(rehearsed.members.map(({ name }) => displayName(name)));
}

/** A view of which the database has a newer version is made anew, where it must be, as it is. */
function managedViews(diff: SchemaDiff): Pick<ClosureInput, 'definitions' | 'asTheyAre'> {
  const newer = diff.views.filter(({ newerVersion }) => newerVersion !== undefined);
  return {
    definitions: diff.views
      .filter(({ newerVersion }) => newerVersion === undefined)
      .map(({ view }) => view),
    asTheyAre: new Set(newer.map(({ view }) => viewName(view))),
  };
}

function membersOf(diff: SchemaDiff): ClosureInput['changed'] {
  return diff.views
    .filter(({ differences }) => differences.some(({ kind }) => REBUILT_FOR.has(kind)))
    .map(({ view, deployed }) => ({
      name: view.name,
      kind: 'm',
      query: view.query,
      definition: view,
      deployed,
    }));
}

function touched(diff: SchemaDiff, closure: ClosureMember[]): QualifiedName[] {
  const altered = diff.views.filter(({ differences }) => differences.length > 0);
  const all = [...closure.map((member) => member.name), ...altered.map(({ view }) => view.name)];
  return [...new Map(all.map((name) => [displayName(name), name])).values()];
}

/**
 * Waits for refreshes to end and keeps new ones away until the transaction ends. In one order, so that
 * two of these never wait for each other. Waiting for an advisory lock holds up no reader, as waiting
 * for the view itself would.
 */
async function holdOffRefreshes(
  session: Session,
  { syncTimeoutMs, limits, locks }: PreparationContext,
  names: QualifiedName[],
): Promise<void> {
  // statementTimeout is for work, and would cut the waiting short.
  await session.query(setLocalLimits({ lockTimeoutMs: syncTimeoutMs, statementTimeoutMs: 0 }));
  const byKey = new Map(names.map((name) => [refreshLockKey(name), displayName(name)]));
  for (const key of [...byKey.keys()].sort()) {
    const view = byKey.get(key);
    await waitForLock(session, locks, key, {
      what: `The refresh lock of materialized view "${view}" has been held for longer than syncTimeout, and the view cannot be changed meanwhile.`,
      hint: 'Wait for the refresh or cancel it, or raise syncTimeout.',
      view,
    });
  }
  await session.query(setLocalLimits(limits));
}

function leftByPolicy({ view, differences, newerVersion }: ViewDiff): SkippedView {
  // Of a view that is not there, what else belongs to it need not be said.
  const missing = differences.filter(({ kind }) => kind === 'missing');
  const what = (missing.length > 0 ? missing : differences).map(describeDifference).join(', ');
  return {
    view: viewName(view),
    reason:
      newerVersion === undefined
        ? what
        : `${what}; the database has version ${newerVersion}, and this process version ${view.version}`,
  };
}
