import { type ViewDefinition, viewName } from '../definition/view-definition.js';
import type { SyncPolicy } from '../definition/module.options.js';
import { allowsChanges } from '../definition/policy-rights.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';
import { deleteKnownView, renameKnownView } from '../postgres/state.sql.js';
import { moveView, renameView } from '../postgres/view-ddl.sql.js';
import type { ViewKind } from '../postgres/view-kind.js';
import { newerVersion } from '../tracking/capture-record.js';
import type { DatabaseState } from './database-state.js';
import { rememberedRename } from './fingerprint.js';
import { isForgotten, isManagedAs, otherHolders } from './holders.js';
import { temporaryName } from './temporary-name.js';

/** A view declared under a new name, with `renamedFrom`, that exists under the old one. */
export interface Rename {
  view: ViewDefinition;
  from: QualifiedName;
  /** What exists under the old name. */
  kind: ViewKind;
}

/**
 * The declared views that must be renamed, each after the one that frees its name. A view that exists under its new
 * name is not renamed, unless the view with that name is renamed itself. Views that swap names exist before and
 * after: what is remembered tells whether the swap is done. A view that another application holds keeps its name. So does
 * one that took the name of a view which was renamed before and then dropped by hand, unless an application
 * with a name has booted without that view since.
 */
function findRenames(
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
  application: string,
): Rename[] {
  const candidates = definitions.flatMap((view) => {
    const from = view.renamedFrom;
    const there = from && state.views.get(displayName(from));
    if (from === undefined || there === undefined || displayName(from) === viewName(view)) {
      return [];
    }
    const known = state.known.get(displayName(from));
    return isManagedAs(view, there, known) && otherHolders(known, application).length === 0
      ? [{ view, from, kind: there.kind }]
      : [];
  });
  const byName = new Map(definitions.map((view) => [viewName(view), view]));
  const chains = chainsOf(
    candidates.filter((each) => !isDropped(each, byName.get(displayName(each.from)), state)),
    (name) => !state.views.has(name),
  );
  const circles = circlesOf(candidates.filter((each) => !chains.includes(each)));
  return [...chains, ...circles.filter((circle) => !isDone(circle, state)).flat()];
}

/**
 * The renames to do, and those that are not done because the policy forbids them or the database has a newer version of the view.
 */
export function partRenames(
  definitions: readonly ViewDefinition[],
  state: DatabaseState,
  { application, policy }: { application: string; policy: SyncPolicy },
): { renames: Rename[]; pending: Rename[] } {
  const isNewer = (view: ViewDefinition): boolean =>
    view.renamedFrom !== undefined &&
    newerVersion(view, state.known.get(displayName(view.renamedFrom))) !== undefined;
  const renames = allowsChanges(policy)
    ? findRenames(
        definitions.filter((view) => !isNewer(view)),
        state,
        application,
      )
    : [];
  const done = new Set(renames.map(({ from }) => displayName(from)));
  const pending = findRenames(definitions, state, application).filter(
    ({ view, from }) => !done.has(displayName(from)) && renames.every((each) => each.view !== view),
  );
  return { renames, pending };
}

/** The views that a migration renamed and whose state still has the old names. */
export function findMoved(
  definitions: readonly ViewDefinition[],
  { known, views }: DatabaseState,
): Rename[] {
  const candidates = definitions.flatMap((view) => {
    const from = view.renamedFrom;
    const there = views.get(viewName(view));
    return from !== undefined && known.has(displayName(from)) && there !== undefined
      ? [{ view, from, kind: there.kind }]
      : [];
  });
  const chains = chainsOf(candidates, (name) => !known.has(name) || isForgotten(known.get(name)));
  const arrived = new Set(chains.map(({ view }) => viewName(view)));
  return chains.filter(
    ({ from }) => !views.has(displayName(from)) || arrived.has(displayName(from)),
  );
}

/** Renames that end at a free name, in the order in which they can be done. */
function chainsOf(renames: Rename[], isFree: (name: string) => boolean): Rename[] {
  const due: Rename[] = [];
  const left = new Set<string>();
  const isNext = ({ view, from }: Rename): boolean =>
    !left.has(displayName(from)) && (isFree(viewName(view)) || left.has(viewName(view)));
  for (let next = renames.find(isNext); next !== undefined; next = renames.find(isNext)) {
    due.push(next);
    left.add(displayName(next.from));
  }
  return due;
}

/** Renames in a circle: each takes the name that another frees. */
function circlesOf(renames: Rename[]): Rename[][] {
  const byOldName = new Map(renames.map((each) => [displayName(each.from), each]));
  const circles: Rename[][] = [];
  const visited = new Set<Rename>();
  for (const first of renames) {
    const path: Rename[] = [];
    for (
      let each: Rename | undefined = first;
      each !== undefined && !visited.has(each);
      each = byOldName.get(viewName(each.view))
    ) {
      visited.add(each);
      path.push(each);
    }
    const last = path.at(-1);
    if (last !== undefined && viewName(last.view) === displayName(first.from)) {
      circles.push(path);
    }
  }
  return circles;
}

/**
 * If nothing is remembered about a view, it can't be told which of the two it was, so it stays. One of them may have
 * been renamed to such a name before.
 */
function isDone(circle: Rename[], state: DatabaseState): boolean {
  return (
    circle.some(({ view }) => !state.known.has(viewName(view))) ||
    circle.every((rename) => wasRenamed(rename, state))
  );
}

/**
 * Whether the rename was done before and the view then dropped by hand, so that another has its old name now. Not if
 * that one is renamed in this release too.
 *
 * @param holder what is declared under the old name
 */
function isDropped(
  rename: Rename,
  holder: ViewDefinition | undefined,
  state: DatabaseState,
): boolean {
  const from = holder?.renamedFrom;
  return (
    holder !== undefined &&
    !state.views.has(viewName(rename.view)) &&
    !isForgotten(state.known.get(viewName(rename.view))) &&
    wasRenamed(rename, state) &&
    (from === undefined || wasRenamed({ view: holder, from }, state))
  );
}

/** Whether the rename was done before, by what is remembered. */
function wasRenamed(
  { view, from }: Pick<Rename, 'view' | 'from'>,
  { known }: DatabaseState,
): boolean {
  const remembered = known.get(viewName(view));
  return remembered !== undefined && rememberedRename(remembered) === displayName(from);
}

/** A view, or its state, that gets another name. */
export interface Move {
  kind: ViewKind;
  from: QualifiedName;
  to: QualifiedName;
}

/** The statements that rename several views, in two parts. Between them, every old name is free. */
interface MoveStatements {
  leave: SqlStatement[];
  arrive: SqlStatement[];
}

/**
 * What reads a view follows by itself, because it is bound to its OID. A view goes through a temporary name, free in
 * both schemas, only if its new name is still taken or in another schema.
 */
export function moveViews(moves: readonly Move[]): MoveStatements {
  return moveAll(moves, ({ kind, from, to }, between) => {
    if (between === undefined && from.schema === to.schema) {
      return { leave: [], arrive: [renameView(kind, from, to.name)] };
    }
    const name = between?.name ?? temporaryMoveName({ from, to });
    return {
      leave: [renameView(kind, from, name)],
      arrive: [
        ...(from.schema === to.schema
          ? []
          : [moveView(kind, { schema: from.schema, name }, to.schema)]),
        renameView(kind, { schema: to.schema, name }, to.name),
      ],
    };
  });
}

/** The same for state and history. Someone may have dropped a view with the new name by hand. */
export function moveKnownViews(stateSchema: string, moves: readonly Move[]): SqlStatement[] {
  const { leave, arrive } = moveAll(moves, ({ from, to }, between) => ({
    leave: between === undefined ? [] : [renameKnownView(stateSchema, from, between)],
    arrive: [deleteKnownView(stateSchema, to), renameKnownView(stateSchema, between ?? from, to)],
  }));
  return [...leave, ...arrive];
}

function moveAll(
  moves: readonly Move[],
  move: (move: Move, between: QualifiedName | undefined) => MoveStatements,
): MoveStatements {
  const left = new Set(moves.map(({ from }) => displayName(from)));
  const isFree = ({ to }: Move): boolean => !left.has(displayName(to));
  // Direct renames first: they free names for the others.
  const ordered = [...moves.filter(isFree), ...moves.filter((each) => !isFree(each))];
  const parts = ordered.map((each) => {
    const { schema } = each.from;
    return isFree(each)
      ? move(each, undefined)
      : move(each, { schema, name: temporaryMoveName(each) });
  });
  return {
    leave: parts.flatMap(({ leave }) => leave),
    arrive: parts.flatMap(({ arrive }) => arrive),
  };
}

function temporaryMoveName({ from, to }: Pick<Move, 'from' | 'to'>): string {
  return temporaryName('rename', displayName(from), displayName(to));
}
