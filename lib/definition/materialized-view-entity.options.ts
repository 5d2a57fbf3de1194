import type { DataSource, EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import type { Duration } from './duration.js';
import type { ViewClass } from './view-class.js';
import type { ModeChoice } from './view-definition.js';

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

/** When a view is refreshed by itself, when that is left out, and how a refresh is done. */
export interface ViewRefreshOptions {
  /**
   * A cron expression of 5 fields, or 6 with seconds, such as Nest's `CronExpression` has, or a name such as
   * `@daily`. Without `cron`, `on` and `maxStaleness` the view is refreshed on demand alone.
   */
  cron?: string;
  /** The IANA time zone of `cron`; refused without it. @default 'UTC' */
  timeZone?: string;
  /**
   * A committed write to one of these tables leads to a refresh, whoever writes: entities, `table` or
   * `schema.table`. `'sources'` stands for all that the catalog knows the view to read, through plain views and
   * partitions; the refresh of a materialized view that it reads is a write too. Tables that are read inside
   * functions have to be named.
   * @default none: writes lead to no refresh
   */
  on?: 'sources' | (SourceTable | string)[];
  /**
   * For how long no further write must come before the refresh begins; 0 to begin at once. Refused without `on`.
   * @default '1s'
   */
  debounce?: Duration;
  /**
   * How long a write waits at the most while others follow it: at least `debounce`. Refused without `on`.
   * @default '30s', or `debounce` where that is longer
   */
  maxWait?: Duration;
  /**
   * Whether a tick of `cron` is skipped when nothing that the view reads has changed since the last refresh.
   * A refresh on demand is never skipped for that. `true` is refused without `cron`, `on` and `maxStaleness`.
   * @default false, and true with `maxStaleness`
   */
  skipUnchanged?: boolean;
  /**
   * How old a write may get that a reader does not see yet, counted from its statement; more than 0. The view and
   * the views below it are refreshed in time for that, and not at all where nothing was written.
   * @default none
   */
  maxStaleness?: Duration;
  /**
   * How the rows are stored. `'auto'`: concurrently, so that readers go on, where the view has rows and a usable
   * unique index, else blocking. `'concurrently'`: the same, with a warning where it is blocking. `'blocking'`: always
   * blocking, which is the fastest where most rows change. `'swap'`: the rows are built beside the view and then take
   * its place: readers wait only for a moment at the end, no unique index is needed and nothing bloats, but it needs
   * room for both, and nothing may depend on the view.
   * @default 'auto'
   */
  mode?: ModeChoice;
  /**
   * Whether a refresh fails with `BlockingRefusedError` where it would stop readers for want of a unique index. The
   * first refresh of an empty view is not refused.
   * @default false
   */
  strict?: boolean;
  /**
   * The least time from the end of the last success to a refresh on demand, which is skipped before that.
   * Schedules and writes do not mind it. Kept in the database, so for all processes and over restarts.
   * @default 0
   */
  minInterval?: Duration;
  /**
   * PostgreSQL settings for the refreshes of the view alone, as in `{ work_mem: '256MB' }`. Time limits, the
   * isolation level, `search_path` and roles are refused.
   * @default {}
   */
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
  /**
   * Puts the query into a plain view of this name (`true`: the name of the view with `_live` behind it), and stores
   * `SELECT *` of that. The plain view shows what a refresh would store now. Both change together.
   * @default false
   */
  liveView?: boolean | string;
  /** Indexes beside those that `@Index` declares. */
  indexes?: ViewIndexOptions[];
  /** Left out, the view is refreshed on demand alone, concurrently where it can be. */
  refresh?: ViewRefreshOptions;
  /** Whether the view is filled when it is made; otherwise its first refresh does that. @default true */
  withData?: boolean;
  /**
   * Storage parameters, as in `{ fillfactor: 90 }`. A new view of the access method heap gets `vacuum_truncate: false`
   * too, unless it is declared: without it VACUUM may lock the view against readers, on standbys for long.
   * @default what the view has
   */
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
