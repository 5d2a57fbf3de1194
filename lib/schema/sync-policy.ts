import { viewName } from '../definition/view-definition.js';
import { SchemaDriftError } from '../errors/schema.errors.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { allowsChanges, allowsCreation } from '../definition/policy-rights.js';
import { describeKind } from '../postgres/view-kind.js';
import { isGiven, type Right } from './aspects/aspect.js';
import { describeOfAspect, isOfAspect, rightOf } from './aspects/aspects.js';
import { viewAspectOf } from './aspects/view-aspects.js';
import type { Difference, SchemaDiff, ViewDiff } from './schema-diff.js';
import type { SchemaPlan } from './schema-plan.js';

/** Whether a policy allows fixing a difference. A newer version in the database is never changed. */
function isAllowed(policy: SyncPolicy, diff: ViewDiff, difference: Difference): boolean {
  if (diff.newerVersion !== undefined) {
    return false;
  }
  if (isOfAspect(difference)) {
    return isGiven(policy, rightOf(difference));
  }
  // A view whose declared query fails stays as it is.
  if (hasFailingQuery(diff) && difference.kind !== 'renamed') {
    return false;
  }
  // An index that is declared for a new definition says nothing about the old one.
  const isCreation = rightOfView(difference) === 'create' && !hasOtherDefinition(diff);
  return allowsChanges(policy) || (allowsCreation(policy) && isCreation);
}

function rightOfView(difference: Difference): Right {
  const usual = difference.kind === 'missing' ? 'create' : 'change';
  return viewAspectOf(difference)?.right(difference) ?? usual;
}

/** Whether the view itself differs from the declared one. */
export function hasOtherDefinition({ differences }: Pick<ViewDiff, 'differences'>): boolean {
  return differences.some(({ kind }) => ['definition', 'view-kind', 'query-fails'].includes(kind));
}

/** Whether the view exists and can't be rebuilt. */
export function hasFailingQuery({ differences }: Pick<ViewDiff, 'differences'>): boolean {
  return differences.some(({ kind }) => kind === 'query-fails');
}

/** Separates what a policy allows from what it leaves. */
export function applyPolicy(
  diff: SchemaDiff,
  policy: SyncPolicy,
  stateSchema: string,
): { allowed: SchemaDiff; left: ViewDiff[] } {
  const part = (isWanted: (view: ViewDiff, difference: Difference) => boolean): ViewDiff[] =>
    diff.views.map((view) => ({
      ...view,
      differences: view.differences.filter((difference) => isWanted(view, difference)),
    }));
  const allowed = part((view, difference) => isAllowed(policy, view, difference));
  return {
    allowed: {
      ...diff,
      views: allowed,
      others: diff.others.filter((difference) => isGiven(policy, rightOf(difference))),
      missingSchemas: diff.missingSchemas.filter(
        (schema) => allowsCreation(policy) || schema === stateSchema,
      ),
    },
    left: part((view, difference) => !isAllowed(policy, view, difference)).filter(
      ({ differences }) => differences.length > 0,
    ),
  };
}

function describeDefinition({
  isDrift,
  failure,
}: Extract<Difference, { kind: 'definition' }>): string {
  const said = failure && `as the database is now, ${failure}`;
  return isDrift
    ? (said ?? 'its definition was changed in the database')
    : ['its definition changed', ...(said ? [said] : [])].join(', and ');
}

/** A difference in words, for logs and errors. */
export function describeDifference(difference: Difference): string {
  switch (difference.kind) {
    case 'missing':
      return 'it is missing';
    case 'view-kind':
      return `a ${describeKind(difference.deployed)} has its name`;
    case 'definition':
      return describeDefinition(difference);
    case 'query-fails':
      return difference.failure;
    case 'renamed':
      return `it is still "${difference.from}"`;
    case 'access-method':
      return 'its access method changed';
    case 'unpopulated':
      return 'it has no data yet';
    default:
      return viewAspectOf(difference)?.describe(difference) ?? describeOfAspect(difference) ?? '';
  }
}

/** `onDrift: 'fail'`: whatever the policy leaves is an error. */
export function refuseDrift(
  { plan, left }: { plan: Pick<SchemaPlan, 'skipped'>; left: readonly ViewDiff[] },
  policy: SyncPolicy,
): void {
  const [first] = left;
  if (policy.onDrift === 'fail' && first !== undefined) {
    const views = plan.skipped.map(({ view, reason }) => `"${view}": ${reason}`).join('; ');
    throw new SchemaDriftError(
      `The database differs from the code: ${views}. Nothing has been changed.`,
      {
        view: viewName(first.view),
        hint: 'Apply the change with a migration or SchemaService.apply.',
      },
    );
  }
}
