import { MaterializedViewError } from '../errors/materialized-view.error.js';
import { refuseUnknowable } from '../tracking/untrackable-views.js';
import { implyFreshness } from '../tracking/implied-freshness.js';
import { viewName } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { type AnyAspectDifference, compareAspects } from './aspects/aspects.js';
import { compare } from './comparison.js';
import {
  withDeclaredDependencies,
  withDependents,
  withRememberedDependencies,
} from './database-state.js';
import {
  findFailingQueries,
  managedViews,
  membersOf,
  rehearseAsDeclared,
} from './declared-rehearsal.js';
import { columnsToBe, refuseMissingColumns } from './declared-columns.js';
import { partFailures } from './failed-views.js';
import { patiently } from '../postgres/lock-attempts.js';
import { type TouchedView, touchedViews } from './touched-views.js';
import { refusedTables } from '../tracking/missing-tables.js';
import { findReplaceable } from './in-place-replacement.js';
import { refuseTakenNames } from './name-conflicts.js';
import { prunable } from './holders.js';
import type { PreparationContext } from './preparation-context.js';
import { type ClosureMember, closeOverDependents } from './rebuild-closure.js';
import { holdOffRefreshes } from './refresh-holdoff.js';
import { rehearse } from './rehearsal.js';
import { movesOf } from './rename-steps.js';
import { keepsOldName, type SchemaDiff, type ViewDiff, withAspects } from './schema-diff.js';
import { together } from './schema-error.js';
import {
  planSchema,
  type SchemaPlan,
  type SkippedView,
  unpopulated,
  withoutData,
} from './schema-plan.js';
import type { StandInError } from './stand-ins.js';
import { allowsChanges, prunes } from '../definition/policy-rights.js';
import { followNames } from './name-plan.js';
import { applyPolicy, describeDifference, hasOtherDefinition } from './sync-policy.js';

/** A plan, with the data that it was made from. */
export interface Prepared {
  diff: SchemaDiff;
  /** What the policy leaves unchanged. */
  left: ViewDiff[];
  plan: SchemaPlan;
  /** The views that the plan changes. */
  touched: TouchedView[];
  /** Views whose query fails and that stop the plan. */
  failing: StandInError[];
  /** Other reasons that stop the plan. */
  refusals: MaterializedViewError[];
}

/** Throws if something stops the plan. */
export function refuse({ failing, refusals }: Pick<Prepared, 'failing' | 'refusals'>): void {
  const error = together(failing) ?? refusals[0];
  if (error !== undefined) {
    throw error;
  }
}

async function refusalsOf(check: () => unknown): Promise<MaterializedViewError[]> {
  try {
    await check();
    return [];
  } catch (error) {
    if (error instanceof MaterializedViewError && error.view !== undefined) {
      return [error];
    }
    throw error;
  }
}

/**
 * Works out what to do, in the caller's transaction: snapshot, comparison, diff, closure, rehearsal,
 * plan. All of it is rolled back, except the locks that keep refreshes away.
 */
export async function prepare(session: Session, context: PreparationContext): Promise<Prepared> {
  const { views, stateSchema, policy } = context;
  const declared = await compare(session, context);
  const compared = { ...declared, state: withDeclaredDependencies(declared.state, views) };
  const { renames, createdSchemas, state, names, hidden } = compared;
  const remembered = withRememberedDependencies(followNames(declared.state, names));
  const { diff, failing } = allowsChanges(policy)
    ? await findFailingQueries(session, context, compared)
    : { diff: compared.diff, failing: [] };
  const { allowed, left: diffLeft } = applyPolicy(diff, policy, stateSchema);
  const missingSchemas = [...createdSchemas, ...allowed.missingSchemas];
  const orphans = prunes(policy) ? prunable(diff.orphans) : [];
  const gone = new Set(orphans.map(({ name }) => displayName(name)));
  const replaced = await findReplaceable(
    session,
    context,
    { ...compared, diff },
    { allowed, missingSchemas, pruned: gone },
  );
  const closure = closeOverDependents({
    changed: membersOf(allowed),
    replaced,
    ...managedViews(diff),
    pruned: gone,
    // What must not be changed is not rebuilt for a new view either that its class declares to read.
    state: allowsChanges(policy) ? state : declared.state,
    policy: policy.unmanagedDependents,
  });
  refuseTakenNames({ allowed, closure, pruned: gone, state });
  await holdOffRefreshes(session, context, [
    ...touched(allowed, closure),
    ...renames.map(({ from }) => from),
    ...orphans.map(({ name }) => name),
  ]);
  const rebuiltNames = new Set(
    closure.filter(({ isReplaced }) => !isReplaced).map(({ name }) => displayName(name)),
  );
  let found: AnyAspectDifference[] = [];
  let refusals: MaterializedViewError[] = [];
  const rehearsed = await patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
    rehearse(session, closure, {
      missingSchemas,
      strategy: policy.rebuildStrategy,
      dropped: orphans.map(({ name }) => name),
      going: orphans,
      moves: movesOf(renames.filter(({ view }) => !rebuiltNames.has(viewName(view)))),
      names,
      hidden,
      waitMs,
      filled: unpopulated(allowed),
      empty: withoutData(state),
      look: async (standIns) => {
        await implyFreshness(session, stateSchema, views, standIns);
        refusals = await refusalsOf(() => refuseUnknowable(session, stateSchema, views, standIns));
        found = await compareAspects(session, {
          ...context,
          // For a view that keeps its old name, tracking is remembered under that name.
          views: diff.views.filter((each) => !keepsOldName(each)).map(({ view }) => view),
          state,
          gone,
          standIns,
        });
      },
    }),
  );
  const failed = await partFailures(session, rehearsed.failed, {
    policy,
    left: diffLeft,
    rehearseAsDeclared: () => rehearseAsDeclared(session, context, { ...compared, diff }),
  });
  const others = diffLeft.filter(hasOtherDefinition).map(({ view }) => viewName(view));
  const aboveLeft = withDependents(others, state);
  refusals.push(
    ...(await refusalsOf(() =>
      refuseMissingColumns(columnsToBe(diff, rehearsed.members, aboveLeft)),
    )),
    ...refusedTables(
      found.flatMap((each) => (each.kind === 'table-missing' ? [each] : [])),
      state.known,
      policy,
    ),
  );
  const whole = withAspects(diff, found);
  const { allowed: wanted, left } = applyPolicy(whole, policy, stateSchema);
  return {
    diff: whole,
    left,
    touched: touchedViews(wanted, rehearsed, names, state),
    plan: planSchema({
      dataSource: context.dataSource,
      diff: { ...wanted, missingSchemas },
      renames,
      rehearsed,
      names,
      hidden,
      state,
      oldState: withDeclaredDependencies(remembered, views),
      policy,
      left: left.map(leftByPolicy),
      failed: failed.skipped,
    }),
    failing: [...(policy.onMissingTable === 'skip' ? [] : failing), ...failed.failing],
    refusals,
  };
}

function touched(diff: SchemaDiff, closure: ClosureMember[]): QualifiedName[] {
  const altered = diff.views.filter(({ differences }) => differences.length > 0);
  const all = [...closure.map((member) => member.name), ...altered.map(({ view }) => view.name)];
  return [...new Map(all.map((name) => [displayName(name), name])).values()];
}

function leftByPolicy({ view, differences, newerVersion }: ViewDiff): SkippedView {
  // If a view is missing, its other differences need not be reported.
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
