import { type ViewDefinition, viewName } from '../../definition/view-definition.js';
import type { DefinitionComparison } from '../definition-comparison.js';
import type { DeployedView } from '../deployed-view.js';
import type { NamePlan } from '../name-plan.js';
import type { PlanPhases } from '../plan-phases.js';
import type { PlanStep } from '../plan-step.js';
import type { Right } from './aspect.js';

/** What is known about a view besides its declaration and the catalog. */
export interface ViewMemory {
  /** What only PostgreSQL can decide; `undefined` if everything is as remembered. */
  comparison: DefinitionComparison | undefined;
  /** The indexes that the library created. */
  ownIndexes: readonly string[];
}

/** A view that stays, with the names that views have before and after the plan. */
export interface StayingView {
  view: ViewDefinition;
  deployed: DeployedView;
  names: NamePlan;
}

/**
 * A property of a view that is changed in place, without new rows. To add one, write a file that exports one, and list it in
 * `view-aspects.ts`. What it compares is read for all views, in `selectViews`.
 */
export interface ViewAspect<Difference extends { kind: string } = { kind: string }> {
  /** All kinds of its differences. */
  readonly kinds: readonly Difference['kind'][];

  /** Pure. */
  diff(view: ViewDefinition, deployed: DeployedView, memory: ViewMemory): Difference[];

  /** Pure. A difference of the kind `create` is left if the view itself differs. */
  right(difference: Difference): Right;

  /** The steps that fix the difference, each with its undo. Pure. */
  phases(difference: Difference, staying: StayingView): Partial<PlanPhases>;

  /** In words, for reports. */
  describe(difference: Difference): string;
}

type Change = Pick<PlanStep, 'reason' | 'statements' | 'undo' | 'lock' | 'rewritesRows'>;

/**
 * A step that alters the view. Readers don't wait for one that writes no rows. Only a renamed view is altered after its
 * rename.
 */
export function alteration(change: Change, { view, names }: StayingView): Partial<PlanPhases> {
  const step: PlanStep = { action: 'alter', view: viewName(view), name: view.name, ...change };
  const before = names.nameBefore(view.name);
  return !change.rewritesRows && before === view.name
    ? { build: [step] }
    : { finish: [{ ...step, stops: [before] }] };
}
