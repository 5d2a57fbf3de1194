import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { renameIndex } from '../postgres/view-ddl.sql.js';
import type { DatabaseState } from './database-state.js';
import type { DeployedView } from './deployed-view.js';
import type { Move } from './rename.js';
import { temporaryName } from './temporary-name.js';

/** An index that is renamed temporarily, because its name is in the way of a view's new name. */
export interface HiddenIndex {
  /** Its own name, in the schema where its view is before anything moves. */
  name: QualifiedName;
  hiddenName: string;
  /** The name that its view has then. */
  view: QualifiedName;
  /** One that is not valid is never made again. */
  isValid: boolean;
}

/**
 * All relations of a schema share one set of names: a view's new name may be that of an index, and a view that moves to
 * another schema brings its indexes along.
 */
export function indexesInTheWay(
  moves: readonly Move[],
  { views }: Pick<DatabaseState, 'views'>,
): HiddenIndex[] {
  const moveOf = new Map(moves.map((move) => [displayName(move.from), move]));
  const wanted = new Set(
    moves.flatMap(({ from, to }) => {
      const brought =
        from.schema === to.schema ? [] : (views.get(displayName(from))?.indexes ?? []);
      return [to, ...brought.map(({ name }) => ({ schema: to.schema, name }))].map(displayName);
    }),
  );
  return [...views.values()].flatMap((view) => {
    const { schema } = view.name;
    const { to = view.name } = moveOf.get(displayName(view.name)) ?? {};
    return view.indexes
      .map((index) => ({ name: { schema, name: index.name }, isValid: index.is_valid }))
      .filter(({ name }) => to.schema !== schema || wanted.has(displayName(name)))
      .map(({ name, isValid }) => ({
        name,
        hiddenName: temporaryName('hidden', displayName(name)),
        view: to,
        isValid,
      }));
  });
}

/** Gives them names that are not in the way. */
export function hide(indexes: readonly HiddenIndex[]): SqlStatement[] {
  return indexes.map(({ name, hiddenName }) => renameIndex(name, hiddenName));
}

/** Gives them their own names back. */
export function show(indexes: readonly HiddenIndex[]): SqlStatement[] {
  return indexes.map(({ name, hiddenName }) =>
    renameIndex({ schema: name.schema, name: hiddenName }, name.name),
  );
}

/** Converts the state that was read while they were hidden to the state without hiding. */
export function withShown(state: DatabaseState, indexes: readonly HiddenIndex[]): DatabaseState {
  const relations = new Map(state.relations);
  for (const { name, view } of indexes) {
    if (view.schema === name.schema) {
      relations.set(displayName(name), {
        schema_name: name.schema,
        view_name: name.name,
        relation_kind: 'i',
        extension: null,
        index_of: displayName(view),
      });
    }
  }
  const shown = new Map(indexes.map(({ name, hiddenName }) => [hiddenName, name.name]));
  return { ...state, relations, views: withNames(state, () => shown) };
}

/** The state as it is while they are hidden. */
export function withHidden(state: DatabaseState, indexes: readonly HiddenIndex[]): DatabaseState {
  const namesOf = (view: DeployedView): Map<string, string> =>
    new Map(
      indexes
        .filter((index) => displayName(index.view) === displayName(view.name))
        .map(({ name, hiddenName }) => [name.name, hiddenName]),
    );
  return { ...state, views: withNames(state, namesOf) };
}

function withNames(
  { views }: DatabaseState,
  namesOf: (view: DeployedView) => ReadonlyMap<string, string>,
): Map<string, DeployedView> {
  return new Map(
    [...views].map(([key, view]) => {
      const names = namesOf(view);
      const indexes = view.indexes.map((index) => ({
        ...index,
        name: names.get(index.name) ?? index.name,
      }));
      return [key, { ...view, indexes }];
    }),
  );
}
