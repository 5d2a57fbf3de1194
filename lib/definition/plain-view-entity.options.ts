import type { ViewClass } from './view-class.js';
import type { ViewExpression } from './materialized-view-entity.options.js';

/** The options of `@PlainViewEntity`. */
export interface PlainViewEntityOptions {
  /** At most 63 bytes. @default what the data source's naming strategy makes of the class name */
  name?: string;
  /** Made when missing. @default the data source's schema, else the connection's current schema */
  schema?: string;
  expression: ViewExpression;
  /**
   * Whether what the view reads is checked with the rights, and the row security, of whoever reads the view, and not
   * of its owner. From PostgreSQL 15 on; refused at boot on older servers.
   * @default what the view has
   */
  securityInvoker?: boolean;
  /** Whether conditions of a reader's query are kept from seeing rows that the view leaves out. @default what the view has */
  securityBarrier?: boolean;
  /**
   * Whether writes through the view are refused whose rows it would not show: by its own conditions alone (`'local'`),
   * or by those of the views below it too (`'cascaded'`). PostgreSQL refuses it for views that are not automatically updatable.
   * @default what the view has
   */
  checkOption?: 'local' | 'cascaded' | false;
  /** A comment in the database. @default what the view has */
  comment?: string;
  /** Views that must be there first and that PostgreSQL cannot know of, such as those read inside functions. */
  dependsOn?: (ViewClass | string)[];
  /** The name before a rename, `name` or `schema.name`: the view is renamed, and what reads it follows. */
  renamedFrom?: string;
  /**
   * Raise it with every change of the definition. A process whose class has a lower version than the
   * database leaves the view alone, so that an old release cannot undo a new one while a deployment rolls.
   */
  version?: number;
}
