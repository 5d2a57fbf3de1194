import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { readCaptureNeeds } from '../tracking/capture-needs.js';
import { implyFreshness } from '../tracking/implied-freshness.js';
import type { Session } from '../postgres/session.js';
import type { DatabaseState } from './database-state.js';
import { fingerprint } from './fingerprint.js';
import { isHeldBy, prunable, releasable } from './holders.js';
import type { PreparationContext } from './preparation-context.js';
import { diffSchema, type SchemaDiff, type ViewDiff } from './schema-diff.js';
import { withCaptures } from './tracked-diff.js';
import { allowsChanges, prunes } from '../definition/policy-rights.js';

/**
 * The diff, when all is as it was remembered, so that there is nothing to compare, to plan or to warn of
 * but orphans; `undefined` when there is more to do.
 */
export async function rememberedDiff(
  session: Session,
  views: readonly ViewDefinition[],
  state: DatabaseState,
  {
    application,
    declaredElsewhere,
    policy,
    stateSchema,
    wakeUp,
  }: Omit<PreparationContext, 'views'>,
): Promise<SchemaDiff | undefined> {
  await implyFreshness(session, stateSchema, views, []);
  const needs = await readCaptureNeeds(session, {
    definitions: views,
    known: state.known,
    mayNarrow: allowsChanges(policy),
    gone: new Set(),
    standIns: [],
  });
  const declared = diffSchema(views, state, {
    comparisons: new Map(),
    renames: [],
    declaredElsewhere,
    application,
  });
  const diff = withCaptures(declared, needs, state, { mayNarrow: allowsChanges(policy), wakeUp });
  const declaredNames = new Set([...declaredElsewhere, ...views.map(viewName)]);
  const isInstalled = state.installedVersion >= state.targetVersion;
  const isUpToDate =
    (isInstalled || views.length === 0) &&
    (diff.missingSchemas.length === 0 || views.length === 0) &&
    (diff.captures.wakeUp === undefined || views.length === 0) &&
    !(prunes(policy) && prunable(diff.orphans).length > 0) &&
    !(allowsChanges(policy) && diff.captures.superfluous.length > 0) &&
    releasable(state, declaredNames, application).length === 0 &&
    diff.views.every((view) => isRemembered(view, state, application));
  return isUpToDate ? diff : undefined;
}

function isRemembered(
  { view, deployed, differences, newerVersion }: ViewDiff,
  state: DatabaseState,
  application: string,
): boolean {
  const known = state.known.get(viewName(view));
  const knownVersion = Number(known?.definition_version ?? 0);
  return (
    deployed !== undefined &&
    differences.length === 0 &&
    newerVersion === undefined &&
    isHeldBy(known, application) &&
    known?.fingerprint === fingerprint(view, deployed) &&
    knownVersion === (view.version ?? knownVersion)
  );
}
