import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import { SchemaSyncError } from '../errors/schema.errors.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import { viewKindOf } from '../postgres/view-kind.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import type { ClosureMember } from './rebuild-closure.js';
import type { Difference, SchemaDiff } from './schema-diff.js';

interface PlannedChanges {
  /** What the policy allows. */
  allowed: SchemaDiff;
  closure: ClosureMember[];
  /** Names of views that are dropped: `schema.name`. */
  pruned: ReadonlySet<string>;
  /** The state after the renames. */
  state: DatabaseState;
}

/**
 * A new name must be free when it is needed: nothing has it now, or what has it is dropped.
 *
 * @throws SchemaSyncError naming what is in the way
 */
export function refuseTakenNames({ allowed, closure, pruned, state }: PlannedChanges): void {
  const going = goingIndexes(allowed, closure, state);
  const coming = new Map<string, ViewDefinition>();
  for (const { view, name, isIndex } of comingNames(allowed, closure, state)) {
    const key = displayName(name);
    const other = coming.get(key);
    if (other !== undefined) {
      throw refusal(view, { name, isIndex }, `"${viewName(other)}" declares the same name`);
    }
    coming.set(key, view);
    const occupant = state.relations.get(key);
    const ofView = occupant?.index_of ?? undefined;
    const isView = viewKindOf(occupant?.relation_kind) !== undefined;
    const isFree =
      occupant === undefined ||
      going.has(key) ||
      (isIndex && ofView === viewName(view)) ||
      // An index has no row type.
      (isIndex && occupant.relation_kind === 'type') ||
      (ofView !== undefined && pruned.has(ofView)) ||
      (isView && (pruned.has(key) || (!isIndex && state.views.has(key))));
    if (!isFree) {
      const what =
        ofView === undefined
          ? `${describeKind(occupant.relation_kind)} "${key}" has it`
          : `an index of "${ofView}" has it`;
      throw refusal(view, { name, isIndex }, what);
    }
  }
}

interface ComingName {
  view: ViewDefinition;
  name: QualifiedName;
  isIndex: boolean;
}

function comingNames(
  { views }: SchemaDiff,
  closure: ClosureMember[],
  state: DatabaseState,
): ComingName[] {
  const rebuiltNames = closure.flatMap(({ definition }) => definition ?? []);
  const names = new Set(rebuiltNames.map(viewName));
  const indexOf = (view: ViewDefinition, index: string): ComingName => ({
    view,
    name: { schema: view.name.schema, name: index },
    isIndex: true,
  });
  return [
    ...rebuiltNames.flatMap((view) => [
      { view, name: view.name, isIndex: false },
      ...view.indexes.map(({ name }) => indexOf(view, name)),
    ]),
    ...views
      .filter(({ view }) => !names.has(viewName(view)))
      .flatMap(({ view, differences }) =>
        differences.flatMap((each) =>
          each.kind === 'renamed'
            ? [
                { view, name: view.name, isIndex: false },
                ...keptIndexes(state.views.get(viewName(view)), differences).map((name) =>
                  indexOf(view, name),
                ),
              ]
            : each.kind === 'index-missing' || each.kind === 'index-renamed'
              ? [indexOf(view, each.index.name)]
              : [],
        ),
      ),
  ];
}

/** The indexes that a renamed view keeps, and brings along if it moves to another schema. */
function keptIndexes(
  deployed: DeployedView | undefined,
  differences: readonly Difference[],
): string[] {
  const leaving = leavingNames(differences);
  return (deployed?.indexes ?? [])
    .map(({ name }) => name)
    .filter((name) => !leaving.includes(name));
}

/** Indexes that are dropped, or recreated because a class declares them. */
function goingIndexes(
  { views }: SchemaDiff,
  closure: ClosureMember[],
  state: DatabaseState,
): Set<string> {
  const rebuiltNames = closure.flatMap(({ name, definition, deployed, ownIndexes }) => {
    const declared = definition?.indexes.map((index) => index.name) ?? [];
    return (deployed?.indexes ?? [])
      .filter((index) => declared.includes(index.name) || ownIndexes.includes(index.name))
      .map((index) => displayName({ schema: name.schema, name: index.name }));
  });
  const inPlace = views.flatMap(({ view, differences }) => {
    const schema = state.views.get(viewName(view))?.name.schema;
    return schema === undefined
      ? []
      : leavingNames(differences).map((name) => displayName({ schema, name }));
  });
  return new Set([...rebuiltNames, ...inPlace]);
}

/** The names that indexes of a view that is changed in place give up. */
function leavingNames(differences: readonly Difference[]): string[] {
  return differences.flatMap((each) =>
    each.kind === 'index-superfluous' ? each.name : each.kind === 'index-renamed' ? each.from : [],
  );
}

function describeKind(kind: string): string {
  const kinds: Record<string, string> = {
    r: 'table',
    p: 'partitioned table',
    f: 'foreign table',
    S: 'sequence',
    i: 'index',
    I: 'partitioned index',
    c: 'composite type',
    type: 'type',
  };
  return viewKindOf(kind)?.noun ?? kinds[kind] ?? `relation of kind "${kind}"`;
}

function refusal(
  view: ViewDefinition,
  { name, isIndex }: Pick<ComingName, 'name' | 'isIndex'>,
  reason: string,
): SchemaSyncError {
  const what = isIndex ? `index "${name.name}" of ${view.kind.noun}` : view.kind.noun;
  return new SchemaSyncError(
    `Cannot create ${what} "${viewName(view)}" of ${view.target.name}: ${reason}. Nothing has been changed.`,
    {
      view: viewName(view),
      hint: 'Rename or drop what has the name, or choose another one.',
    },
  );
}
