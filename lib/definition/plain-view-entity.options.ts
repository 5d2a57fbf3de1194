import type { ViewClass } from './view-class.js';
import type { ViewExpression, ViewSchemas } from './materialized-view-entity.options.js';

/** The options of `@PlainViewEntity`. */
export interface PlainViewEntityOptions {
  /** At most 63 bytes. @default the class name, converted by the data source's naming strategy */
  name?: string;
  /** Created if missing. @default the data source's schema, else the connection's current schema */
  schema?: string;
  /** See the option of the same name of `@MaterializedViewEntity`. @default none: one view */
  schemas?: ViewSchemas;
  expression: ViewExpression;
  /**
   * Whether privileges and row security of what the view reads are checked for the reader instead of the view's
   * owner. Needs PostgreSQL 15; a boot on an older server fails.
   * @default what the view has
   */
  securityInvoker?: boolean;
  /** Whether conditions in a reader's query can't see rows that the view leaves out. @default what the view has */
  securityBarrier?: boolean;
  /**
   * Refuses writes of rows that the view would not show, by its own conditions (`'local'`) or also by those of the
   * views below it (`'cascaded'`). PostgreSQL allows it only on automatically updatable views.
   * @default what the view has
   */
  checkOption?: 'local' | 'cascaded' | false;
  /** The view's comment in the database. @default what the view has */
  comment?: string;
  /** Views that must exist first but that PostgreSQL can't know about, such as those read inside functions. */
  dependsOn?: (ViewClass | string)[];
  /** The previous name, as `name` or `schema.name`. The view is renamed, and views that read it follow. */
  renamedFrom?: string;
  /**
   * Raise it with each change of the definition. A process whose class has a lower version than the database leaves
   * the view alone, so an old release can't undo a new one during a rolling deployment.
   */
  version?: number;
}
