import type { PlanStep } from './plan-step.js';

/**
 * The steps of one change by when they are carried out. What needs no reader to wait comes first, for all views. Then,
 * all together, names are cleared, and then taken.
 *
 * The way back has the same three parts, and goes through the steps from the last to the first. So what builds for it
 * is the `undo` of a step that finishes, what clears names is that of a step that clears, and what takes names that of
 * a step that builds.
 */
export interface PlanPhases {
  build: PlanStep[];
  clear: PlanStep[];
  finish: PlanStep[];
}

/** Several changes as one; steps that do nothing in either direction are left out. */
export function inPhases(...changes: Partial<PlanPhases>[]): PlanPhases {
  const all = (phase: keyof PlanPhases): PlanStep[] =>
    changes
      .flatMap((change) => change[phase] ?? [])
      .filter(
        ({ statements, undo, action }) => action === 'drop' || statements.length + undo.length > 0,
      );
  return { build: all('build'), clear: all('clear'), finish: all('finish') };
}
