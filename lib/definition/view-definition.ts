import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { ViewKind } from '../postgres/view-kind.js';
import type { TickGrid } from './cron-grid.js';
import type { ViewClass } from './view-class.js';

/** Who refreshes a view at its scheduled times. */
export type Scheduler = (typeof SCHEDULERS)[number];

/** All of them. */
export const SCHEDULERS = ['application', 'pg_cron'] as const;

/** A view's schedule: what was declared, and the scheduled times that follow. */
export interface ViewSchedule {
  cron: string;
  timeZone: string;
  scheduler: Scheduler;
  grid: TickGrid;
}

/** What the changes of other tables mean to a view. */
export interface ViewFreshness {
  /** Whether everything that it reads according to the catalog counts. */
  readsSources: boolean;
  /** Tables, or views over them, that count too. */
  tables: QualifiedName[];
  /** How writes trigger its refreshes; `undefined` if they don't. */
  onWrite?: { debounceMs: number; maxWaitMs: number };
  /** Whether ticks are skipped if nothing has changed. */
  skipsUnchanged: boolean;
  maxStalenessMs?: number;
  /** Whether none of it is declared here, but a view above has `maxStaleness`. */
  isImplied?: boolean;
}

/**
 * How a refresh stores the rows. `'auto'` is concurrently if PostgreSQL can, otherwise blocking; `'concurrently'` is
 * the same, with a warning if it blocks.
 */
export type ModeChoice = (typeof MODE_CHOICES)[number];

/** All of them. */
export const MODE_CHOICES = ['auto', 'concurrently', 'blocking', 'swap'] as const;

/** How a view is refreshed, whatever triggers it. */
export interface RefreshPolicy {
  mode: ModeChoice;
  strict: boolean;
  minIntervalMs: number;
  /** PostgreSQL settings for the transaction of a refresh. */
  settings: Record<string, string>;
}

/** A column that a class maps. */
export interface MappedColumn {
  /** Its name in the database. */
  name: string;
  property: string;
}

/** What the code declares about one view, with all names resolved. */
export interface ViewDefinition {
  target: ViewClass;
  kind: ViewKind;
  /** Whether it has the query of a materialized view of the same class. */
  isLive?: true;
  name: QualifiedName;
  /** Its SELECT, without a closing semicolon. */
  query: string;
  columns: MappedColumn[];
  indexes: IndexDefinition[];
  withData: boolean;
  /** Undeclared attributes (`undefined`) are left as the database has them. */
  storage?: Record<string, string | number | boolean>;
  tablespace?: string;
  accessMethod?: string;
  comment?: string;
  /** Views that must exist before this one, besides those that the catalog knows. */
  dependsOn: QualifiedName[];
  renamedFrom?: QualifiedName;
  version?: number;
  refresh: RefreshPolicy;
  schedule?: ViewSchedule;
  /** `undefined` if nothing depends on what changed. */
  freshness?: ViewFreshness;
}

/** Whether the view relies on a refresh giving the same rows if nothing was written. */
export function mustBeKnowable({ skipsUnchanged, maxStalenessMs }: ViewFreshness): boolean {
  return skipsUnchanged || maxStalenessMs !== undefined;
}

/** The name of a data source without a name. */
export const DEFAULT_DATA_SOURCE = 'default';

/** A view's name in messages, results and calls of `refresh`: `schema.name`. */
export function viewName({ name }: ViewDefinition): string {
  return displayName(name);
}

/**
 * The name under which a view's job stands in @nestjs/schedule's `SchedulerRegistry`:
 * `materialized-view:<schema>.<name>`, and `materialized-view:<data source>:<schema>.<name>` in a data
 * source that is not the default one.
 */
export function refreshJobName(dataSourceName: string, definition: ViewDefinition): string {
  const scope = dataSourceName === DEFAULT_DATA_SOURCE ? '' : `${dataSourceName}:`;
  return `materialized-view:${scope}${viewName(definition)}`;
}
