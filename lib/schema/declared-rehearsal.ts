import { viewName } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import type { Compared } from './comparison.js';
import { withDependents } from './database-state.js';
import { patiently } from '../postgres/lock-attempts.js';
import type { PreparationContext } from './preparation-context.js';
import { type ClosureInput, type ClosureMember, closureOf } from './rebuild-closure.js';
import { holdOffRefreshes } from './refresh-holdoff.js';
import { type Rehearsed, rehearse } from './rehearsal.js';
import { movesOf } from './rename-steps.js';
import { describeFailure, keepsOldName, type SchemaDiff, type ViewDiff } from './schema-diff.js';
import { withoutData } from './schema-plan.js';
import type { StandInError } from './stand-ins.js';
import { hasFailingQuery } from './sync-policy.js';
import { foreignLiterals } from './uncarried.js';

const REBUILT_FOR: ReadonlySet<string> = new Set([
  'missing',
  'view-kind',
  'definition',
  'access-method',
]);

type Comparison = Pick<
  Compared,
  'diff' | 'state' | 'names' | 'renames' | 'createdSchemas' | 'hidden'
>;

/** The views that are created or rebuilt because they differ themselves. */
export function membersOf(diff: SchemaDiff): ClosureInput['changed'] {
  return diff.views
    .filter((view) => !hasFailingQuery(view))
    .filter(({ differences }) => differences.some(({ kind }) => REBUILT_FOR.has(kind)))
    .map(({ view, deployed }) => ({
      name: view.name,
      kind: view.kind,
      query: view.query,
      definition: view,
      deployed,
    }));
}

/**
 * Three kinds of view, if they must be rebuilt, are rebuilt as they are: one with a newer version in the database, one
 * whose declared query fails, and one that keeps its old name.
 */
export function managedViews(diff: SchemaDiff): Pick<ClosureInput, 'definitions' | 'asTheyAre'> {
  const isLeft = (view: ViewDiff): boolean =>
    view.newerVersion !== undefined || hasFailingQuery(view) || keepsOldName(view);
  return {
    definitions: diff.views.filter((view) => !isLeft(view)).map(({ view }) => view),
    asTheyAre: new Map(
      diff.views
        .filter(isLeft)
        .map(({ view, deployed = view }) => [displayName(deployed.name), view]),
    ),
  };
}

/** What is tried out, all at once. */
interface TriedOut {
  /** The differences whose views are created as declared. */
  changes: SchemaDiff;
  /** See `ClosureInput`. */
  replaced?: ReadonlySet<string>;
  missingSchemas: string[];
  /** Reads the catalog in the state that the plan will leave. */
  look?: (members: ClosureMember[]) => Promise<void>;
}

/**
 * Creates stand-ins for everything that is rebuilt, and replaces what stays, for a moment. Leaves nothing behind, not even a
 * lock.
 */
export async function tryOut(
  session: Session,
  context: PreparationContext,
  { diff, state, names, renames, hidden }: Omit<Comparison, 'createdSchemas'>,
  { changes, replaced, missingSchemas, look = () => Promise.resolve() }: TriedOut,
): Promise<{ members: ClosureMember[]; rehearsed: Rehearsed }> {
  const closure = closureOf({
    changed: membersOf(changes),
    replaced,
    ...managedViews(diff),
    pruned: new Set(),
    state,
    policy: 'rebuild',
  });
  // Text that must not be parsed stays: a change of such a view is refused anyway.
  const members = closure.members.filter(
    ({ deployed, definition }) =>
      deployed === undefined || foreignLiterals(deployed, definition).length === 0,
  );
  const rebuilt = members.filter(({ isReplaced }) => !isReplaced);
  const rebuiltNames = new Set(rebuilt.map(({ name }) => displayName(name)));
  return session.undone(async () => {
    await holdOffRefreshes(
      session,
      context,
      members.map(({ name }) => name),
    );
    const rehearsed = await patiently(session, context.limits.lockTimeoutMs, (waitMs) =>
      rehearse(session, members, {
        missingSchemas,
        strategy: context.policy.rebuildStrategy,
        dropped: [],
        going: [],
        moves: movesOf(renames.filter(({ view }) => !rebuiltNames.has(viewName(view)))),
        names,
        hidden,
        waitMs,
        filled: new Set(),
        empty: withoutData(state),
        look: () => look(members),
      }),
    );
    return { members, rehearsed };
  });
}

/** What would work if everything were created as declared, whatever the policy. */
export async function rehearseAsDeclared(
  session: Session,
  context: PreparationContext,
  compared: Comparison,
): Promise<Rehearsed> {
  const { diff, createdSchemas } = compared;
  const missingSchemas = [...createdSchemas, ...diff.missingSchemas];
  const { rehearsed } = await tryOut(session, context, compared, { changes: diff, missingSchemas });
  return rehearsed;
}

/**
 * Separates existing views whose declared query fails from those whose definition changed. A query that fails now may work once
 * other views have changed. So all are tried together, repeatedly, each time without those found to fail.
 */
export async function findFailingQueries(
  session: Session,
  context: PreparationContext,
  compared: Comparison,
): Promise<{ diff: SchemaDiff; failing: StandInError[] }> {
  const { state } = compared;
  let { diff } = compared;
  const failing: StandInError[] = [];
  while (diff.views.some(failsNow)) {
    const { failed } = await rehearseAsDeclared(session, context, { ...compared, diff });
    const there = failed.filter(({ member }) => member.definition && member.deployed);
    // A view that reads a failing one may fail for that reason only.
    const above = new Set(
      there.flatMap(({ member }) => [
        ...withDependents(state.dependents.get(displayName(member.name)) ?? [], state),
      ]),
    );
    const culprits = there.filter(({ member }) => !above.has(displayName(member.name)));
    if (culprits.length === 0) {
      break;
    }
    failing.push(...culprits);
    diff = { ...diff, views: diff.views.map((view) => withFailure(view, culprits)) };
  }
  return { diff: { ...diff, views: diff.views.map(standing) }, failing };
}

/** Whatever was not found to fail works on the future state. */
function standing(diff: ViewDiff): ViewDiff {
  return {
    ...diff,
    differences: diff.differences.map((each) =>
      each.kind === 'definition' ? { kind: each.kind, isDrift: each.isDrift } : each,
    ),
  };
}

/** Whether it fails on the present state, which has not been examined yet. */
function failsNow({ differences, newerVersion }: ViewDiff): boolean {
  return (
    newerVersion === undefined &&
    differences.some(
      (difference) => difference.kind === 'definition' && difference.failure !== undefined,
    )
  );
}

function withFailure(diff: ViewDiff, failures: readonly StandInError[]): ViewDiff {
  const failure = failures.find(({ member }) => member.definition === diff.view);
  return failure === undefined || hasFailingQuery(diff)
    ? diff
    : {
        ...diff,
        differences: [
          { kind: 'query-fails', failure: describeFailure(diff.view, failure.cause) },
          ...diff.differences.filter(({ kind }) => kind !== 'definition'),
        ],
      };
}
