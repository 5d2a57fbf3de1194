import type { QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';

export type PlanAction =
  | 'install'
  | 'create-schema'
  | 'rename'
  | 'build'
  | 'swap'
  | 'replace'
  | 'index'
  | 'alter'
  | 'populate'
  | 'record'
  | 'capture'
  | 'schedule'
  | 'drop';

/** One step of a plan, as data: it can be printed, run, or written into a migration. */
export interface PlanStep {
  action: PlanAction;
  /** `schema.name`; absent for a step that doesn't concern a single view. */
  view?: string;
  /** The same in parts. */
  name?: QualifiedName;
  /** Why, in a sentence. */
  reason: string;
  statements: SqlStatement[];
  /** What undoes the step, once all later steps are undone. */
  undo: SqlStatement[];
  /** The strongest lock on existing objects, and whom it stops. */
  lock: string;
  /** The views whose readers it stops, by the names that they have before the plan: see `PlanRun`. */
  stops?: QualifiedName[];
  /** The same on the way back, by the names after the plan. @default `name` */
  stopsBack?: QualifiedName[];
  /** Whether rows are computed or rewritten. */
  rewritesRows: boolean;
}

/** A step that a boot left out because it didn't get the locks. */
export interface PostponedStep extends PlanStep {
  /** Whether the server had no room for that many locks; otherwise another session held them. */
  isTooLarge: boolean;
}
