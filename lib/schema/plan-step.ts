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

/** One step of a plan, as data: it can be printed, carried out, or written into a migration. */
export interface PlanStep {
  action: PlanAction;
  /** `schema.name`; none for what concerns no single view. */
  view?: string;
  /** The same in parts. */
  name?: QualifiedName;
  /** Why, in a sentence. */
  reason: string;
  statements: SqlStatement[];
  /** What takes the step back, given that all later steps have been taken back. */
  undo: SqlStatement[];
  /** The strongest lock on what is there already, and whom it stops. */
  lock: string;
  /** The views whose readers it stops, by the names that they have before the plan: see `PlanRun`. */
  stops?: QualifiedName[];
  /** Whether rows are computed or written again. */
  rewritesRows: boolean;
}

/** A step that a boot has left out, because it could not have the locks. */
export interface PostponedStep extends PlanStep {
  /** Whether the server had no room for so many locks; otherwise somebody else held them. */
  isTooLarge: boolean;
}
