import { SyncLockTimeoutError } from '../errors/schema.errors.js';
import { type CaptureNeed, readCaptureNeeds } from '../freshness/capture-needs.js';
import { refuseUnknowable } from '../freshness/freshness-refusal.js';
import { implyFreshness } from '../freshness/implied-freshness.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { SyncPolicy, WakeUp } from '../definition/module.options.js';
import { refreshLockKey } from '../postgres/advisory-lock.js';
import { lock } from '../postgres/advisory-lock.sql.js';
import { createSchema } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { Session } from '../postgres/session.js';
import { script } from '../postgres/sql-statement.js';
import { errorCode, SqlState } from '../postgres/sqlstate.js';
import { deleteKnownView, renameKnownView } from '../postgres/state.sql.js';
import { setLocalLimits, type TransactionLimits } from '../postgres/transaction.sql.js';
import { withCaptures, withWakeUp } from './capture-diff.js';
import type { DatabaseState } from './database-state.js';
import { columnsToBe, refuseMissingColumns } from './declared-columns.js';
import { compareDefinitions } from './definition-comparison.js';
import { skippedFailures } from './failed-views.js';
import { patiently } from './lock-attempts.js';
import {
  type ClosureInput,
  type ClosureMember,
  closeOverDependents,
  closureOf,
} from './rebuild-closure.js';
import { rehearse } from './rehearsal.js';
import { findRenames, type Rename, renameStatements } from './rename.js';
import { diffSchema, type SchemaDiff, type ViewDiff } from './schema-diff.js';
import { SchemaStepError } from './schema-error.js';
import { planSchema, type SchemaPlan, type SkippedView } from './schema-plan.js';
import { readSteadily } from './steady-read.js';
import { allowsChanges, applyPolicy, describeDifference, prunes } from './sync-policy.js';

export interface PreparationContext {
  dataSource: string;
  stateSchema: string;
  views: readonly ViewDefinition[];
  /** What the application declares in other data sources: `schema.name`. */
  declaredElsewhere: ReadonlySet<string>;
  policy: SyncPolicy;
  wakeUp: WakeUp;
  /** How long to wait for a refresh that is under way. Readers do not notice. */
  syncTimeoutMs: number;
  /** How long to wait for readers, and how long a statement may take. */
  limits: TransactionLimits;
}

/** A plan, with what it was made from. */
export interface Prepared {
  diff: SchemaDiff;
  /** What the policy leaves as it is. */
  left: ViewDiff[];
  plan: SchemaPlan;
}

const REBUILT_FOR: ReadonlySet<string> = new Set([
  'missing',
  'plain-view',
  'definition',
  'access-method',
]);

/**
 * Works out what to do, in the caller's transaction: snapshot, comparison, diff, closure, rehearsal,
 * plan. All of it is undone again but the renames, on which the rest is based, and the locks.
 */
export async function prepare(session: Session, context: PreparationContext): Promise<Prepared> {
  const { views, declaredElsewhere, stateSchema, policy } = context;
  const { renames, createdSchemas } = await rename(session, context);
  const state = await read(session, context);
  const comparisons = await compareDefinitions(session, views, state);
  const diff = diffSchema(views, state, { comparisons, renames, declaredElsewhere });
  const { allowed, left: diffLeft } = applyPolicy(diff, policy, stateSchema);
  const missingSchemas = [...createdSchemas, ...allowed.missingSchemas];
  const gone = new Set(prunes(policy) ? diff.orphans.map(({ name }) => displayName(name)) : []);
  const closure = closeOverDependents({
    changed: membersOf(allowed),
    ...managedViews(diff),
    pruned: gone,
    state,
    policy: policy.unmanagedDependents,
  });
  await holdOffRefreshes(session, context, touched(allowed, closure));
  let needs = new Map<string, CaptureNeed>();
  const rehearsed = await patiently(session, context.limits.lockTimeoutMs, () =>
    rehearse(session, closure, {
      missingSchemas,
      strategy: policy.changeStrategy,
      dropped: prunes(policy) ? diff.orphans.map(({ name }) => name) : [],
      filled: new Set(
        allowed.views
          .filter(({ differences }) => differences.some(({ kind }) => kind === 'unpopulated'))
          .map(({ view }) => viewName(view)),
      ),
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
    standingAsDeclared: () => standingAsDeclared(session, context, diff, state),
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
    plan: planSchema({
      dataSource: context.dataSource,
      diff: { ...wanted, missingSchemas },
      renames,
      rehearsed: rehearsed.members,
      state,
      policy,
      left: left.map(leftByPolicy),
      failed,
    }),
  };
}

function read(session: Session, context: PreparationContext): Promise<DatabaseState> {
  const names = context.views.map((view) => view.name);
  return readSteadily(session, context.stateSchema, names);
}

/** Renames first: what reads a view is compared under its new name. */
async function rename(
  session: Session,
  context: PreparationContext,
): Promise<{ renames: Rename[]; createdSchemas: string[] }> {
  const { policy, views } = context;
  if (!allowsChanges(policy) || views.every((view) => view.renamedFrom === undefined)) {
    return { renames: [], createdSchemas: [] };
  }
  const state = await read(session, context);
  const renames = findRenames(views, state);
  const schemas = new Set(renames.map(({ view }) => view.name.schema));
  const createdSchemas = [...schemas].filter((schema) => !state.schemas.has(schema));
  await holdOffRefreshes(
    session,
    context,
    renames.map(({ from }) => from),
  );
  for (const schema of createdSchemas) {
    await session.query(createSchema(schema));
  }
  for (const each of renames) {
    await renameOne(session, context, each);
    if (state.installedVersion > 0) {
      // Somebody may have dropped a view of the new name by hand.
      await session.query(deleteKnownView(context.stateSchema, each.view.name));
      await session.query(renameKnownView(context.stateSchema, each.from, each.view.name));
    }
  }
  return { renames, createdSchemas };
}

async function renameOne(
  session: Session,
  { limits }: PreparationContext,
  { view, from }: Rename,
): Promise<void> {
  try {
    await patiently(session, limits.lockTimeoutMs, () =>
      session.query(script(renameStatements(from, view.name))),
    );
  } catch (cause) {
    const task = `rename "${displayName(from)}" to "${viewName(view)}"`;
    throw new SchemaStepError(cause, { task, view });
  }
}

/** The views that could be made, or made anew, if nothing were left as it is: `schema.name`. */
async function standingAsDeclared(
  session: Session,
  context: PreparationContext,
  diff: SchemaDiff,
  state: DatabaseState,
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
  const rehearsed = await patiently(session, context.limits.lockTimeoutMs, () =>
    rehearse(session, members, {
      missingSchemas: diff.missingSchemas,
      strategy: context.policy.changeStrategy,
      dropped: [],
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
  { syncTimeoutMs, limits }: PreparationContext,
  names: QualifiedName[],
): Promise<void> {
  // statementTimeout is for work, and would cut the waiting short.
  await session.query(setLocalLimits({ lockTimeoutMs: syncTimeoutMs, statementTimeoutMs: 0 }));
  for (const key of names.map(refreshLockKey).sort()) {
    await waitFor(session, key, names);
  }
  await session.query(setLocalLimits(limits));
}

async function waitFor(session: Session, key: string, names: QualifiedName[]): Promise<void> {
  try {
    await session.query(lock(key));
  } catch (cause) {
    if (errorCode(cause) !== SqlState.lockNotAvailable) {
      throw cause;
    }
    const name = names.find((each) => refreshLockKey(each) === key);
    const view = name && displayName(name);
    throw new SyncLockTimeoutError(
      `A refresh of materialized view "${view}" has been running for longer than syncTimeout, and the view cannot be changed meanwhile. Nothing has been changed.`,
      { view, cause, hint: 'Wait for it or cancel it, or raise syncTimeout.' },
    );
  }
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
