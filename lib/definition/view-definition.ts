import type { IndexDefinition } from '../postgres/ddl.sql.js';
import { displayName, type QualifiedName } from '../postgres/identifier.js';
import type { ViewKind } from '../postgres/view-kind.js';
import type { TickGrid } from './cron-grid.js';
import type { ViewClass } from './view-class.js';

/** Who refreshes a view at its scheduled times. */
export type Scheduler = (typeof SCHEDULERS)[number];

/** All of them. */
export const SCHEDULERS = ['application', 'pg_cron'] as const;

/** A view's schedule: what was declared, and the scheduled times that it stands for. */
export interface ViewSchedule {
  cron: string;
  timeZone: string;
  scheduler: Scheduler;
  grid: TickGrid;
}

/** What the changes of other tables mean to a view. */
export interface ViewFreshness {
  /** Whether all that the catalog knows it to read counts. */
  readsSources: boolean;
  /** Tables, or views over them, that count beside those. */
  tables: QualifiedName[];
  /** How it is refreshed by itself on writes; `undefined` where it is not. */
  onWrite?: { debounceMs: number; maxWaitMs: number };
  /** Whether ticks are left out where nothing has changed. */
  skipsUnchanged: boolean;
  maxStalenessMs?: number;
  /** Whether none of it is declared: a view above has a `maxStaleness`. */
  isImplied?: boolean;
}

/**
 * How the rows of a refresh are to be stored. `'auto'` is concurrently where PostgreSQL can, and blocking elsewhere;
 * `'concurrently'` the same, with a warning where it is blocking.
 */
export type ModeChoice = (typeof MODE_CHOICES)[number];

/** All of them. */
export const MODE_CHOICES = ['auto', 'concurrently', 'blocking', 'swap'] as const;

/** How a view is refreshed, whatever asks for it. */
export interface RefreshPolicy {
  mode: ModeChoice;
  strict: boolean;
  minIntervalMs: number;
  /** Settings of PostgreSQL for the transaction of a refresh. */
  settings: Record<string, string>;
}

/** A column that a class maps. */
export interface MappedColumn {
  /** As the database is to call it. */
  name: string;
  property: string;
}

/** What the code declares of one view, with all names resolved. */
export interface ViewDefinition {
  target: ViewClass;
  kind: ViewKind;
  /** Whether it has the query of a materialized view that the same class declares. */
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
  /** Views to be there before this one, beside those that the catalog knows of. */
  dependsOn: QualifiedName[];
  renamedFrom?: QualifiedName;
  version?: number;
  refresh: RefreshPolicy;
  schedule?: ViewSchedule;
  /** `undefined` where nothing depends on what changed. */
  freshness?: ViewFreshness;
}

/** Whether it is relied on that a refresh would give the same rows where nothing was written. */
export function mustBeKnowable({ skipsUnchanged, maxStalenessMs }: ViewFreshness): boolean {
  return skipsUnchanged || maxStalenessMs !== undefined;
}

/** The name of a data source that was given none. */
export const DEFAULT_DATA_SOURCE = 'default';

/** How a view is called in messages, results and by `refresh`: `schema.name`. */
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
