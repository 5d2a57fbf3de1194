import type { DataSource, EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import type { Duration } from './duration.js';
import type { ViewClass } from './view-class.js';

/**
 * The query of a view: SQL, or a function that builds it, as in TypeORM's `ViewEntity`. Parameters of
 * a query builder are written into the SQL as literals (a view cannot have parameters), so they may
 * only be strings, numbers, bigints, booleans, null, and arrays of these.
 */
export type ViewExpression =
  string | ((dataSource: DataSource) => SelectQueryBuilder<ObjectLiteral>);

/** One key of an index, where a property name alone does not say enough. */
export interface ViewIndexKey {
  /** A property of the class. Either this or `expression`. */
  property?: string;
  /** A SQL expression over the view's columns, as in `lower(name)`. */
  expression?: string;
  /** As in `'C'` or `'public.german'`. */
  collation?: string;
  /** As in `'text_pattern_ops'` or `'public.gin_trgm_ops'`. */
  operatorClass?: string;
  /** @default 'ASC' */
  order?: 'ASC' | 'DESC';
  /** @default 'LAST' for ascending order, 'FIRST' for descending order */
  nulls?: 'FIRST' | 'LAST';
}

/** An index of a view, with what TypeORM's `@Index` cannot say. */
export interface ViewIndexOptions {
  /** At most 63 bytes, unique in the schema. */
  name: string;
  /** Properties of the class, or keys with more to them, in order. */
  keys: (string | ViewIndexKey)[];
  /** @default false */
  unique?: boolean;
  /** The access method, as in `'gin'`. @default 'btree' */
  method?: string;
  /** Properties whose values the index carries along (INCLUDE). */
  include?: string[];
  /** A SQL predicate: the index is partial. */
  where?: string;
  /** Storage parameters, as in `{ fillfactor: 100 }`. */
  storage?: Record<string, string | number | boolean>;
  tablespace?: string;
}

/** When a view is refreshed by itself, when it need not be, and how it is refreshed at all. */
export interface ViewRefreshOptions {
  /**
   * A cron expression of 5 or 6 fields (with seconds), such as Nest's `CronExpression` has. Without it,
   * `on` and `maxStaleness` the view is refreshed on demand alone.
   */
  cron?: string;
  /** An IANA time zone, for `cron`. @default 'UTC' */
  timeZone?: string;
  /**
   * The tables whose committed writes make the view stale, whoever writes them: entities, or `table` or
   * `schema.table`; `'sources'` for all that the catalog knows the view to read, through plain views,
   * partitions and other materialized views. Tables that are read inside functions have to be named.
   */
  on?: 'sources' | (SourceTable | string)[];
  /** For how long there must be no further write, with `on`. @default '1s' */
  debounce?: Duration;
  /** How long a write waits at the most while others follow it, with `on`. @default '30s', or `debounce` where that is longer */
  maxWait?: Duration;
  /**
   * Whether a tick of `cron` is left out when nothing that the view reads has changed since the last refresh;
   * on demand it is always refreshed. Refused where nothing refreshes the view by itself.
   * @default false, and true with `maxStaleness`
   */
  skipUnchanged?: boolean;
  /** How old the oldest write that a reader does not see may get. */
  maxStaleness?: Duration;
  /**
   * `true` and `'auto'`: beside readers, where the view has what that needs, and stopping them where it
   * has not, which `true` warns of; `false`: always stopping them, which is the fastest where most rows
   * change.
   * @default 'auto'
   */
  concurrently?: boolean | 'auto';
  /**
   * Builds the rows beside the view and takes its place in a moment: stops no reader, needs no unique
   * index and bloats nothing, but needs room for both, and nothing may depend on the view.
   * @default false
   */
  swap?: boolean;
  /** Whether a refresh that would stop readers fails instead, with `BlockingRefusedError`. @default false */
  strict?: boolean;
  /**
   * The least time from the end of one refresh to the start of one on demand, which is skipped before
   * that. Kept in the database, so for all processes and over restarts.
   * @default 0
   */
  minInterval?: Duration;
  /** Settings of PostgreSQL while the view is refreshed, as in `{ work_mem: '256MB' }`. */
  settings?: Record<string, string | number | boolean>;
}

/** What TypeORM maps to a table: a class, or a schema in the place of one. */
export type SourceTable = (abstract new (...args: never[]) => object) | EntitySchema;

/** The options of `@MaterializedViewEntity`. */
export interface MaterializedViewEntityOptions {
  /** At most 63 bytes. @default what the data source's naming strategy makes of the class name */
  name?: string;
  /** Made when missing. @default the data source's schema, else the connection's current schema */
  schema?: string;
  expression: ViewExpression;
  /** Indexes beside those that `@Index` declares. */
  indexes?: ViewIndexOptions[];
  /** Left out, the view is refreshed on demand alone, concurrently where it can be. */
  refresh?: ViewRefreshOptions;
  /** Whether the view is filled when it is made; otherwise its first refresh does that. @default true */
  withData?: boolean;
  /** Storage parameters, as in `{ fillfactor: 90 }`. @default what the view has */
  storage?: Record<string, string | number | boolean>;
  /** @default what the view has */
  tablespace?: string;
  /** A table access method, as in `'heap'`. @default what the view has */
  accessMethod?: string;
  /** A comment in the database. @default what the view has */
  comment?: string;
  /** Views that must be there first and that PostgreSQL cannot know of, such as those read inside functions. */
  dependsOn?: (ViewClass | string)[];
  /** The name before a rename, `name` or `schema.name`: the view is renamed and keeps its rows and history. */
  renamedFrom?: string;
  /**
   * Raise it with every change of the definition. A process whose class has a lower version than the
   * database leaves the view alone, so that an old release cannot undo a new one while a deployment rolls.
   */
  version?: number;
}
