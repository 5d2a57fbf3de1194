import type { PlanStep } from './plan-step.js';

/**
 * The steps of one change, by when they run. Steps that don't make readers wait come first, for all views. Then names
 * are freed, all together, and then taken.
 *
 * Undoing has the same three parts, and runs the steps from last to first. So the `undo` of a finishing step builds,
 * that of a clearing step frees names, and that of a building step takes names.
 */
export interface PlanPhases {
  build: PlanStep[];
  clear: PlanStep[];
  finish: PlanStep[];
}

/** Joins several changes into one. Steps that do nothing in either direction are left out. */
export function inPhases(...changes: Partial<PlanPhases>[]): PlanPhases {
  const all = (phase: keyof PlanPhases): PlanStep[] =>
    changes
      .flatMap((change) => change[phase] ?? [])
      .filter(
        ({ statements, undo, action }) => action === 'drop' || statements.length + undo.length > 0,
      );
  return { build: all('build'), clear: all('clear'), finish: all('finish') };
}
