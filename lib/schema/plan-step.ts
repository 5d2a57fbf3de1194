import type { QualifiedName } from '../postgres/identifier.js';
import type { SqlStatement } from '../postgres/sql-statement.js';

export type PlanAction =
  | 'install'
  | 'create-schema'
  | 'rename'
  | 'build'
  | 'swap'
  | 'index'
  | 'alter'
  | 'populate'
  | 'record'
  | 'capture'
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
  /** Whether rows are computed or written anew. */
  rewritesRows: boolean;
}

/* The locks of steps, as they are shown. */

export const NO_LOCK = 'none: nothing reads it yet';
export const STATE_LOCK = "rows of the library's own tables: nobody waits";
export const SHARE_LOCK = 'SHARE: readers go on, refreshes wait';
export const EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait, for milliseconds';
export const WRITERS_LOCK =
  'SHARE ROW EXCLUSIVE: writers of the tables wait, for milliseconds; readers go on';
export const LONG_EXCLUSIVE_LOCK = 'ACCESS EXCLUSIVE: readers wait while the rows are written';

/** A step that a boot has left out, because it could not have the locks. */
export interface PostponedStep extends PlanStep {
  /** Whether the server had no room for so many locks; otherwise somebody else held them. */
  isTooLarge: boolean;
}
