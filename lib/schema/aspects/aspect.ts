import type { SyncPolicy } from '../../definition/module.options.js';
import { allowsChanges, allowsCreation } from '../../definition/policy-rights.js';
import type { ViewDefinition } from '../../definition/view-definition.js';
import type { QualifiedName } from '../../postgres/identifier.js';
import type { Session } from '../../postgres/session.js';
import type { DatabaseState } from '../database-state.js';
import type { PlanStep } from '../plan-step.js';
import type { PreparationContext } from '../preparation-context.js';

/** What a policy has to allow, so that a difference is made good. `never`: no step of a plan can. */
export type Right = 'always' | 'create' | 'change' | 'never';

/** One way in which the database is not what the code declares, as plain data. */
export interface AspectDifference {
  /** Its aspect knows it by this. */
  kind: string;
  /** The declared view that it is of. It is reported with the view, and left alone where the view is. */
  view?: ViewDefinition;
  /** What it is of, where it is no single view's. */
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
  /** Plain views that stand in the place of materialized ones while the new definitions are tried. */
  standIns: readonly QualifiedName[];
}

export interface StepInput {
  stateSchema: string;
  /** The names of views that cannot be made. */
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
   * Reads what the database has and what it should have, as far as the catalog says so: in a constant number of queries,
   * without a lock, while the catalog is as the plan will leave it. Boots read in a transaction that is read-only.
   */
  read(session: Pick<Session, 'query'>, input: AspectInput): Promise<Found>;

  /** Pure. */
  diff(found: Found, input: AspectInput): Difference[];

  /** Pure. A difference of the right `change` alone has a process do something that declares no views. */
  right(difference: Difference): Right;

  /** What makes the differences good, each step with what takes it back. Pure. */
  steps(differences: Difference[], input: StepInput): PlanStep[];

  /** In words, for reports; `undefined` for what is no difference to an application. */
  describe(difference: Difference): string | undefined;
}

/** Whether a policy allows what a difference asks for. */
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
