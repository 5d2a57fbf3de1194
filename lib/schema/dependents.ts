import { SchemaSyncError, UnmanagedDependentsError } from '../errors/schema.errors.js';
import { displayName, displayNames, type QualifiedName } from '../postgres/identifier.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';

/** A view with its kind, as PostgreSQL describes dependent objects. */
export function describeView(deployed: DeployedView): string {
  return `${deployed.kind.noun} ${displayName(deployed.name)}`;
}

/**
 * What depends on dropped views and is not dropped itself.
 *
 * @param others names of views that are dropped too, or rebuilt
 */
export function dependentsLeft(
  going: DeployedView[],
  { dependents, views }: DatabaseState,
  others: ReadonlySet<string>,
): string[] {
  const left = going.flatMap((view) => [
    ...view.otherDependents,
    ...(dependents.get(displayName(view.name)) ?? [])
      .filter((name) => !others.has(name))
      .flatMap((name) => views.get(name) ?? [])
      .map(describeView),
  ]);
  return [...new Set(left)];
}

/**
 * @param Refusal the error for a caller who drops one view, or for a release that drops it
 * @throws Refusal if there is anything
 */
export function refuseToDrop(
  going: QualifiedName[],
  dependents: string[],
  Refusal: typeof SchemaSyncError | typeof UnmanagedDependentsError = UnmanagedDependentsError,
): void {
  const [first] = going;
  if (first !== undefined && dependents.length > 0) {
    throw new Refusal(
      `Cannot drop ${displayNames(going)}: ${dependents.join(', ')} ${dependents.length === 1 ? 'depends' : 'depend'} on it. Nothing has been changed.`,
      {
        view: displayName(first),
        hint: 'Drop or change that first.',
      },
    );
  }
}
