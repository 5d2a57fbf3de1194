import type { SyncPolicy } from '../../definition/module.options.js';
import { allowsChanges, allowsCreation } from '../../definition/policy-rights.js';
import type { ViewDefinition } from '../../definition/view-definition.js';
import type { QualifiedName } from '../../postgres/identifier.js';
import type { Session } from '../../postgres/session.js';
import type { DatabaseState } from '../database-state.js';
import type { PlanStep } from '../plan-step.js';
import type { PreparationContext } from '../preparation-context.js';

/** What a policy must allow for a difference to be fixed. `never`: no step can fix it. */
export type Right = 'always' | 'create' | 'change' | 'never';

/** One way in which the database differs from the code, as plain data. */
export interface AspectDifference {
  /** Its aspect identifies it by this. */
  kind: string;
  /**
   * The declared view that it belongs to. It is reported with the view, and left if the view is left.
   */
  view?: ViewDefinition;
  /** What it belongs to, if not to a single view. */
  subject?: QualifiedName;
}

export interface AspectInput extends Pick<
  PreparationContext,
  'stateSchema' | 'policy' | 'options'
> {
  views: readonly ViewDefinition[];
  state: DatabaseState;
  /** The names of views that are about to be dropped. */
  gone: ReadonlySet<string>;
  /** Plain views that stand in for materialized ones while the new definitions are tried. */
  standIns: readonly QualifiedName[];
}

export interface StepInput {
  stateSchema: string;
  /** The names of views that can't be created. */
  failed: ReadonlySet<string>;
}

/**
 * One thing beside the views that is kept in step with the code. To add one, write a file that exports one, and name it in
 * `aspects.ts`: comparison, policy, plan, migrations, reports and the quick look of a boot then go by it. A new kind of step
 * needs its name in `PlanAction`.
 */
export interface Aspect<Found = unknown, Difference extends AspectDifference = AspectDifference> {
  /** All kinds of its differences. */
  readonly kinds: readonly Difference['kind'][];
  /** Whether its steps come before those of views, or after them. */
  readonly order: 'first' | 'last';

  /**
   * Reads what the database has and what it should have according to the catalog: in a constant number of queries,
   * without a lock, while the catalog is as the plan will leave it. A boot reads in a read-only transaction.
   */
  read(session: Pick<Session, 'query'>, input: AspectInput): Promise<Found>;

  /** Pure. */
  diff(found: Found, input: AspectInput): Difference[];

  /** Pure. A process that declares no views only acts on differences with the right `change`. */
  right(difference: Difference): Right;

  /** The steps that fix the differences, each with its undo. Pure. */
  steps(differences: Difference[], input: StepInput): PlanStep[];

  /** In words, for reports; `undefined` if it doesn't matter to an application. */
  describe(difference: Difference): string | undefined;
}

/** Whether a policy allows the change that a difference needs. */
export function isGiven(policy: SyncPolicy, right: Right): boolean {
  switch (right) {
    case 'always':
      return true;
    case 'create':
      return allowsCreation(policy);
    case 'change':
      return allowsChanges(policy);
    case 'never':
      return false;
  }
}
