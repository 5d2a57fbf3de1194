import { viewName } from '../definition/view-definition.js';
import { displayName } from '../postgres/identifier.js';
import { recordRename } from '../postgres/state.sql.js';
import type { DatabaseState } from './database-state.js';
import { inPhases, type PlanPhases } from './plan-phases.js';
import { EXCLUSIVE_LOCK, STATE_LOCK } from '../postgres/lock-words.js';
import type { PlanStep } from './plan-step.js';
import { type Move, moveKnownViews, moveViews, type Rename } from './rename.js';

/**
 * Views are renamed with everything that belongs to them, and their state and history follow.
 *
 * @param inPlace the ones that are not rebuilt
 */
export function renamePhases(
  renames: readonly Rename[],
  inPlace: readonly Rename[],
  { stateSchema, installedVersion }: DatabaseState,
): PlanPhases & { follow: PlanStep[] } {
  if (renames.length === 0) {
    return { ...inPhases(), follow: [] };
  }
  const there = movesOf(inPlace);
  const back = movesBack(inPlace);
  const step = { ...stepOf(inPlace), stopsBack: inPlace.map(({ view }) => view.name) };
  const stops = inPlace.map(({ from }) => from);
  return {
    follow: installedVersion === 0 ? [] : [followStep(renames, stateSchema)],
    ...inPhases({
      build: [{ ...step, statements: [], undo: moveViews(back).arrive }],
      clear: [{ ...step, statements: moveViews(there).leave, undo: moveViews(back).leave, stops }],
      finish: [{ ...step, statements: moveViews(there).arrive, undo: [], stops }],
    }),
  };
}

/** With the old names after undoing. */
function followStep(renames: readonly Rename[], stateSchema: string): PlanStep {
  return {
    ...stepOf(renames),
    statements: [
      ...moveKnownViews(stateSchema, movesOf(renames)),
      ...renames.map(({ view, from }) => recordRename(stateSchema, from, view.name)),
    ],
    undo: moveKnownViews(stateSchema, movesBack(renames)),
    lock: STATE_LOCK,
  };
}

function stepOf(renames: readonly Rename[]): PlanStep {
  const [first] = renames;
  const isOne = first !== undefined && renames.length === 1;
  return {
    action: 'rename',
    ...(isOne && { view: viewName(first.view), name: first.view.name }),
    reason: renames
      .map(({ view, from }) => `${isOne ? 'It' : `"${viewName(view)}"`} was "${displayName(from)}"`)
      .join('; '),
    statements: [],
    undo: [],
    lock: EXCLUSIVE_LOCK,
    rewritesRows: false,
  };
}

/** The old and the new name of each view. */
export function movesOf(renames: readonly Rename[]): Move[] {
  return renames.map(({ view, from, kind }) => ({ kind, from, to: view.name }));
}

/** The last one first: each name is freed before it is taken. */
function movesBack(renames: readonly Rename[]): Move[] {
  return [...renames]
    .reverse()
    .map(({ view, from, kind }) => ({ kind, from: view.name, to: from }));
}
