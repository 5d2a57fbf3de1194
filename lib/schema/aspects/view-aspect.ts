import { type ViewDefinition, viewName } from '../../definition/view-definition.js';
import type { DefinitionComparison } from '../definition-comparison.js';
import type { DeployedView } from '../deployed-view.js';
import type { NamePlan } from '../name-plan.js';
import type { PlanPhases } from '../plan-phases.js';
import type { PlanStep } from '../plan-step.js';
import type { Right } from './aspect.js';

/** What is known of a view beside what is declared and what the catalog has. */
export interface ViewMemory {
  /** What only PostgreSQL can judge; `undefined` where all is as it was remembered. */
  comparison: DefinitionComparison | undefined;
  /** The indexes that the library made. */
  ownIndexes: readonly string[];
}

/** A view that stays, with the names that views have before and after the plan. */
export interface StayingView {
  view: ViewDefinition;
  deployed: DeployedView;
  names: NamePlan;
}

/**
 * One thing of a view that is changed where the view is, without new rows. To add one, write a file that exports one, and name
 * it in `view-aspects.ts`. What it compares is read with all views, in `selectViews`.
 */
export interface ViewAspect<Difference extends { kind: string } = { kind: string }> {
  /** All kinds of its differences. */
  readonly kinds: readonly Difference['kind'][];

  /** Pure. */
  diff(view: ViewDefinition, deployed: DeployedView, memory: ViewMemory): Difference[];

  /** Pure. What is `create` is left alone where the view itself is not as declared. */
  right(difference: Difference): Right;

  /** What makes the difference good, each step with what takes it back. Pure. */
  phases(difference: Difference, staying: StayingView): Partial<PlanPhases>;

  /** In words, for reports. */
  describe(difference: Difference): string;
}

type Change = Pick<PlanStep, 'reason' | 'statements' | 'undo' | 'lock' | 'rewritesRows'>;

/**
 * One step that alters the view. Readers need not wait for one that writes no rows: only a view that comes under another
 * name is altered after it has it.
 */
export function alteration(change: Change, { view, names }: StayingView): Partial<PlanPhases> {
  const step: PlanStep = { action: 'alter', view: viewName(view), name: view.name, ...change };
  const before = names.nameBefore(view.name);
  return !change.rewritesRows && before === view.name
    ? { build: [step] }
    : { finish: [{ ...step, stops: [before] }] };
}
