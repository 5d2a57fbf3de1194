import type { ViewDefinition } from '../definition/view-definition.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { DatabaseState } from './database-state.js';
import type { Rename } from './rename.js';

/**
 * Names across all views: what is dropped frees names for what is new. While a plan builds, everything keeps its
 * old name. What needs a name that is taken gets it in the exchange.
 */
export interface NamePlan {
  /** The name that a view has before the plan. */
  nameBefore: (name: QualifiedName) => QualifiedName;
  /** Whether something has the name before the plan. */
  isTaken: (name: QualifiedName) => boolean;
  /** Whether an index has the name before the plan. */
  isIndex: (name: QualifiedName) => boolean;
  /** Whether something declared has the name after the plan. */
  isWanted: (name: QualifiedName) => boolean;
}

/** @param before the state before any rename: it knows which of the declared names are taken */
export function planNames(
  views: readonly ViewDefinition[],
  before: Pick<DatabaseState, 'relations'>,
  renames: readonly Rename[],
): NamePlan {
  const wanted = new Set(declaredNames(views).map(displayName));
  const froms = new Map(renames.map(({ view, from }) => [displayName(view.name), from]));
  return {
    nameBefore: (name) => froms.get(displayName(name)) ?? name,
    isTaken: (name) => before.relations.has(displayName(name)),
    isIndex: (name) => typeof before.relations.get(displayName(name))?.index_of === 'string',
    isWanted: (name) => wanted.has(displayName(name)),
  };
}

/** With the remembered dependencies under the names after the renames, like the rest of the state. */
export function followNames(state: DatabaseState, { nameBefore }: NamePlan): DatabaseState {
  const after = new Map(
    [...state.views.values()].map(({ name }) => [displayName(nameBefore(name)), displayName(name)]),
  );
  const follow = (name: string): string => after.get(name) ?? name;
  return {
    ...state,
    known: new Map(
      [...state.known].map(([key, row]) => [
        key,
        { ...row, depends_on: row.depends_on?.map(follow) ?? null },
      ]),
    ),
  };
}

/** The names of the views and of their indexes. */
export function declaredNames(views: readonly ViewDefinition[]): QualifiedName[] {
  return views.flatMap(namesIn);
}

/** The names of a view and of its indexes, which share one space in each schema. */
export function namesIn({
  name,
  indexes,
}: {
  name: QualifiedName;
  indexes: readonly { name: string }[];
}): QualifiedName[] {
  return [name, ...indexes.map((index) => ({ schema: name.schema, name: index.name }))];
}
