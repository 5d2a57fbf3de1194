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

/** The views that are made, or rebuilt, for their own sake. */
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
 * A view of which the database has a newer version, one whose declared query fails, and one that keeps its old name, is
 * rebuilt, where it must be, as it is.
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
  /** The differences whose views are made as declared. */
  changes: SchemaDiff;
  /** See `ClosureInput`. */
  replaced?: ReadonlySet<string>;
  missingSchemas: string[];
  /** Looks at the catalog while it is as it will be. */
  look?: (members: ClosureMember[]) => Promise<void>;
}

/** Makes stand-ins for all that is rebuilt, and replaces what stays, for a moment. Leaves nothing behind, no lock either. */
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
  // What must not be read stays: a change of it is refused anyway.
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

/** What would stand if all were made as declared, whatever the policy. */
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
 * Parts views that are there and whose declared query fails from those whose definition changed. A query that does not stand on
 * what is there may stand on what will be: so all is tried together, again and again without what turned out to fail.
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
    // What reads one that fails may fail for that reason alone.
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

/** What was not found to fail stands on what will be. */
function standing(diff: ViewDiff): ViewDiff {
  return {
    ...diff,
    differences: diff.differences.map((each) =>
      each.kind === 'definition' ? { kind: each.kind, isDrift: each.isDrift } : each,
    ),
  };
}

/** Whether it does not stand on what is there, which has not been looked into yet. */
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
