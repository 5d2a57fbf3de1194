import type { DataSourceContext } from '../definition/data-source.context.js';
import { allowsChanges, allowsCreation } from '../definition/policy-rights.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { Session } from '../postgres/session.js';
import {
  claimViews,
  type DefinitionRecord,
  recordDefinitions,
  releaseViews,
} from '../postgres/state.sql.js';
import type { Reading } from '../postgres/view-catalog.sql.js';
import { effectiveCapture } from '../tracking/capture-record.js';
import type { DatabaseState } from './database-state.js';
import { declarationRecord, dependsOnRecord, fingerprint } from './fingerprint.js';
import { releasable } from './holders.js';
import { findMoved, moveKnownViews } from './rename.js';
import { movesOf } from './rename-steps.js';
import type { SchemaPlan } from './schema-plan.js';
import { readSteadily } from './steady-read.js';

type Context = Pick<DataSourceContext, 'application' | 'database' | 'views' | 'viewsElsewhere'>;

/** Reads the state of the database for the views of a data source. */
export function readState(
  session: Session,
  { database, views }: Context,
  reading?: Reading,
): Promise<DatabaseState> {
  const names = views.all().map((view) => view.name);
  return readSteadily(session, database.stateSchema, names, reading);
}

/** The names of the views that the same application declares in its other data sources. */
export function declaredElsewhere(context: Context): Set<string> {
  return new Set(context.viewsElsewhere().map(viewName));
}

/**
 * Makes the database remember what was declared about views, what the catalog has now, which changes they track, and
 * which applications hold them. For views that the plan left as they are, only the holders are updated.
 *
 * @returns the remembered state
 */
export async function remember(
  session: Session,
  context: Context,
  plan: SchemaPlan,
  policy: SyncPolicy,
): Promise<DatabaseState> {
  await followRenames(session, context);
  const { application, database, views } = context;
  const state = await readState(session, context);
  const left = new Set(plan.skipped.map(({ view }) => view));
  const records = views
    .all()
    .filter((view) => !left.has(viewName(view)))
    .flatMap((view) => recordOf(view, state, policy));
  await session.query(recordDefinitions(database.stateSchema, application, records));
  await rememberHolders(session, context, { state, left });
  return state;
}

function recordOf(
  view: ViewDefinition,
  state: DatabaseState,
  policy: SyncPolicy,
): DefinitionRecord[] {
  const deployed = state.views.get(viewName(view));
  const known = state.known.get(viewName(view));
  if (deployed === undefined) {
    return [];
  }
  const declared = new Set(view.indexes.map((index) => index.name));
  return [
    {
      view: view.name,
      kind: deployed.kind,
      isPopulated: deployed.row.is_populated,
      ownIndexes: deployed.indexes.map(({ name }) => name).filter((name) => declared.has(name)),
      declaredHash: declarationRecord(view),
      fingerprint: fingerprint(view, deployed),
      version: view.version,
      dependsOn: dependsOnRecord(view),
      capture: allowsCreation(policy)
        ? effectiveCapture(view, known, allowsChanges(policy))
        : (known?.capture ?? null),
    },
  ];
}

/** For a view that is left as it is too: another application must not drop it. */
async function rememberHolders(
  session: Session,
  context: Context,
  { state, left }: { state: DatabaseState; left: ReadonlySet<string> },
): Promise<void> {
  const { application, database, views } = context;
  const { stateSchema } = database;
  const claimed = views
    .all()
    .filter((view) => left.has(viewName(view)) && state.views.has(viewName(view)))
    .map(({ name }) => name);
  if (claimed.length > 0) {
    await session.query(claimViews(stateSchema, application, claimed));
  }
  const declared = new Set([...declaredElsewhere(context), ...views.all().map(viewName)]);
  const released = releasable(state, declared, application);
  if (released.length > 0) {
    await session.query(releaseViews(stateSchema, application, released));
  }
}

/** A view may have been renamed by a migration: its state and history follow. */
async function followRenames(session: Session, context: Context): Promise<void> {
  const { stateSchema } = context.database;
  const renamed = context.views.all().filter((view) => view.renamedFrom !== undefined);
  if (renamed.length === 0) {
    return;
  }
  const moved = findMoved(renamed, await readState(session, context));
  for (const statement of moveKnownViews(stateSchema, movesOf(moved))) {
    await session.query(statement);
  }
}
