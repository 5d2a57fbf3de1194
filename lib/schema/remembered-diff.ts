import { isDeepStrictEqual } from 'node:util';
import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { implyFreshness } from '../tracking/implied-freshness.js';
import type { Session } from '../postgres/session.js';
import { isGiven } from './aspects/aspect.js';
import { compareAspects, rightOf } from './aspects/aspects.js';
import type { DatabaseState } from './database-state.js';
import { dependsOnRecord, hasFingerprint } from './fingerprint.js';
import { isHeldBy, prunable, releasable } from './holders.js';
import type { PreparationContext } from './preparation-context.js';
import { diffSchema, type SchemaDiff, type ViewDiff, withAspects } from './schema-diff.js';
import { prunes } from '../definition/policy-rights.js';

/**
 * The diff if everything is as remembered, so that there is nothing to compare, plan or warn about
 * except orphans; `undefined` if there is more to do.
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
    options,
    namesWithoutSchema,
  }: Omit<PreparationContext, 'views'>,
): Promise<SchemaDiff | undefined> {
  await implyFreshness(session, stateSchema, views, []);
  const found = await compareAspects(session, {
    ...{ views, state, stateSchema, policy, options },
    gone: new Set(),
    standIns: [],
  });
  const declared = diffSchema(views, state, {
    comparisons: new Map(),
    renames: [],
    pending: [],
    declaredElsewhere,
    application,
    schema: policy.schema,
    namesWithoutSchema,
  });
  const diff = withAspects(declared, found);
  const declaredNames = new Set([...declaredElsewhere, ...views.map(viewName)]);
  // A process without views needs nothing, and might remove what no view of its own needs.
  const pending = diff.others
    .map(rightOf)
    .filter((right) => isGiven(policy, right) && (right === 'change' || views.length > 0));
  const isUpToDate =
    pending.length === 0 &&
    (diff.missingSchemas.length === 0 || views.length === 0) &&
    !(prunes(policy) && prunable(diff.orphans).length > 0) &&
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
    known !== undefined &&
    hasFingerprint(view, deployed, known) &&
    isDeepStrictEqual(known.depends_on, dependsOnRecord(view)) &&
    knownVersion === (view.version ?? knownVersion)
  );
}
