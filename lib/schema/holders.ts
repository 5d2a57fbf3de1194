import { displayNames, type QualifiedName, rowName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import { MATERIALIZED } from '../postgres/view-kind.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';

/*
 * Applications may share the library's own tables. Each holds the views that it declares, and goes on holding those that
 * it made, so that no other one drops or renames them. An application without a name holds them as ''.
 */

/** A view that no class of the application declares any more. */
export interface Orphan extends DeployedView {
  /** Whether another application may declare it, as far as the database knows. Then it is never dropped. */
  isDoubtful?: true;
  /** Whether the database remembers that it tracks changes. */
  isTracked: boolean;
}

/** Whether a view that is there is of the kind that the library made: else somebody has replaced it by hand. */
export function isAsKnown({ kind }: DeployedView, known: KnownViewRow | undefined): boolean {
  return known?.is_own === true && (known.relation_kind ?? MATERIALIZED.relkind) === kind.relkind;
}

/** Whether what is there is the library's to rename or to drop for a declared view: of its kind, or of the kind that it had. */
export function isManagedAs(
  view: ViewDefinition,
  deployed: DeployedView,
  known: KnownViewRow | undefined,
): boolean {
  return deployed.kind === view.kind || isAsKnown(deployed, known);
}

/** The applications beside this one that are known to hold a view. */
export function otherHolders(known: KnownViewRow | undefined, application: string): string[] {
  return (known?.applications ?? []).filter(
    (holder) => holder !== null && holder !== application,
  ) as string[];
}

/** Whether it is remembered that the application holds a view. */
export function isHeldBy(known: KnownViewRow | undefined, application: string): boolean {
  return known?.applications?.includes(application) ?? false;
}

/** An undeclared view as an orphan of this application; `undefined` where it is not one. */
export function asOrphan(
  view: DeployedView,
  known: KnownViewRow,
  application: string,
): Orphan | undefined {
  const { applications } = known;
  const isOthers = otherHolders(known, application).some((holder) => holder !== '');
  if (applications !== null && (isOthers || !isHeldBy(known, application))) {
    return undefined;
  }
  const isSure = application !== '' && applications?.length === 1;
  const orphan = { ...view, isTracked: known.capture !== null };
  return isSure ? orphan : { ...orphan, isDoubtful: true };
}

/**
 * Views that the application holds and declares no more, while others with names hold them, or which are gone: a later
 * view of that name is somebody else's.
 */
export function releasable(
  { known, views }: Pick<DatabaseState, 'known' | 'views'>,
  declared: ReadonlySet<string>,
  application: string,
): QualifiedName[] {
  return [...known.values()]
    .filter((row) => application !== '' && isHeldBy(row, application))
    .filter((row) => !declared.has(rowName(row)))
    .filter(
      (row) =>
        !views.has(rowName(row)) || otherHolders(row, application).some((holder) => holder !== ''),
    )
    .map((row) => ({ schema: row.schema_name, name: row.view_name }));
}

/** Other applications in words. */
export function describeHolders(holders: readonly string[]): string {
  return holders
    .map((name) => (name === '' ? 'an application without a name' : `application "${name}"`))
    .join(' and ');
}

/** Why no class declares an orphan, as far as is known. */
export function describeOrphan({ isDoubtful }: Orphan): string {
  return isDoubtful
    ? 'no class of this application declares it, while another application may'
    : 'no class declares it';
}

/** What to do about an orphan. */
export function orphanAdvice({ isDoubtful }: Orphan, application: string): string {
  if (!isDoubtful) {
    return 'Drop it with `prune: true` or SchemaService.apply.';
  }
  return application === ''
    ? 'For `prune`, name the application: with the option `application`, or `applicationName` of its data source. `prune` drops only what the application of that name alone has made.'
    : '`prune` leaves it, because it was made when the application had no name, or before names were remembered. Drop it by hand when no application declares it.';
}

/** What to say where a plan was to prune and must leave views; `undefined` where there are none. */
export function describeUnpruned(
  orphans: readonly Orphan[],
  application: string,
): string | undefined {
  const [first, ...others] = orphans.filter(({ isDoubtful }) => isDoubtful);
  return (
    first &&
    `Not pruned: ${displayNames([first, ...others].map(({ name }) => name))}: ${describeOrphan(first)}. ${orphanAdvice(first, application)}`
  );
}

/** The orphans that may be dropped. */
export function prunable<Each extends Orphan>(orphans: readonly Each[]): Each[] {
  return orphans.filter(({ isDoubtful }) => !isDoubtful);
}
