import { displayNames, type QualifiedName, rowName } from '../postgres/identifier.js';
import type { KnownViewRow } from '../postgres/state.sql.js';
import { MATERIALIZED } from '../postgres/view-kind.js';
import type { ViewDefinition } from '../definition/view-definition.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';

/*
 * Applications may share the library's own tables. Each holds the views that it declares, and keeps holding those that
 * it created, so that no other application drops or renames them. An application without a name holds them as ''.
 */

/** A view that no class of the application declares any more. */
export interface Orphan extends DeployedView {
  /** Whether another application may declare it, according to the database. Then it is never dropped. */
  isDoubtful?: true;
  /** Whether it is a view of a class that has no schema at all at present. Then it is dropped only by its schema's name. */
  hasEmptyClass?: true;
  /** Whether the database remembers that it tracks changes. */
  isTracked: boolean;
}

/**
 * Whether an existing view has the kind that the library created: otherwise someone has replaced it by hand.
 */
export function isAsKnown({ kind }: DeployedView, known: KnownViewRow | undefined): boolean {
  return known?.is_own === true && (known.relation_kind ?? MATERIALIZED.relkind) === kind.relkind;
}

/**
 * Whether the library may rename or drop what exists for a declared view: it must have the view's kind, or its previous kind.
 */
export function isManagedAs(
  view: ViewDefinition,
  deployed: DeployedView,
  known: KnownViewRow | undefined,
): boolean {
  return deployed.kind === view.kind || isAsKnown(deployed, known);
}

/** The other applications that are known to hold a view. */
export function otherHolders(known: KnownViewRow | undefined, application: string): string[] {
  return (known?.applications ?? []).filter(
    (holder) => holder !== null && holder !== application,
  ) as string[];
}

/** Whether it is remembered that the application holds a view. */
export function isHeldBy(known: KnownViewRow | undefined, application: string): boolean {
  return known?.applications?.includes(application) ?? false;
}

/** Whether what is remembered is of a view that was gone when the last application released it. */
export function isForgotten(known: KnownViewRow | undefined): boolean {
  return known?.applications?.length === 0;
}

/** An undeclared view as an orphan of this application; `undefined` if it isn't one. */
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
 * Views that the application holds but no longer declares, while other named applications hold them, or which no
 * longer exist: a later view with that name belongs to someone else.
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

/** The names of other applications, for messages. */
export function describeHolders(holders: readonly string[]): string {
  return holders
    .map((name) => (name === '' ? 'an application without a name' : `application "${name}"`))
    .join(' and ');
}

/** Why no class declares an orphan, as far as is known. */
export function describeOrphan({ isDoubtful, hasEmptyClass }: Orphan): string {
  if (hasEmptyClass && !isDoubtful) {
    return '`schemas` of its class names no schema at all';
  }
  return isDoubtful
    ? 'no class of this application declares it, while another application may'
    : 'no class declares it';
}

/** What to do about an orphan. */
export function orphanAdvice(
  { name, isDoubtful, hasEmptyClass }: Orphan,
  application: string,
): string {
  if (hasEmptyClass && !isDoubtful) {
    return `\`prune\` leaves it, because that may be a mistake, such as an empty table of tenants. If the views of the schema are to go: matviews sync --prune --schema '${name.schema.replaceAll("'", String.raw`'\''`)}', or remove the class.`;
  }
  if (!isDoubtful) {
    return 'Drop it with `prune: true` or SchemaService.apply.';
  }
  return application === ''
    ? 'For `prune`, name the application: with the option `application`, or `applicationName` of its data source. `prune` drops only what the application of that name alone has created.'
    : '`prune` leaves it, because it was created when the application had no name, or before names were recorded. Drop it by hand when no application declares it.';
}

/** The warning if a plan should prune but must leave views; `undefined` if there are none. */
export function describeUnpruned(
  orphans: readonly Orphan[],
  application: string,
): string | undefined {
  const [first, ...others] = orphans.filter((orphan) => !isPrunable(orphan));
  return (
    first &&
    `Not pruned: ${displayNames([first, ...others].map(({ name }) => name))}: ${describeOrphan(first)}. ${orphanAdvice(first, application)}`
  );
}

/** The orphans that may be dropped. */
export function prunable<Each extends Orphan>(orphans: readonly Each[]): Each[] {
  return orphans.filter(isPrunable);
}

const isPrunable = ({ isDoubtful, hasEmptyClass }: Orphan): boolean =>
  !isDoubtful && !hasEmptyClass;
