import type { DataSource, EntitySchema, ObjectLiteral, SelectQueryBuilder } from 'typeorm';
import type { Duration } from './duration.js';
import type { ViewClass } from './view-class.js';
import type { ModeChoice, Scheduler } from './view-definition.js';

/** Where a view is created. */
export interface ViewPlace {
  /** The name of its schema, not quoted. */
  schema: string;
  /** The name of a table or view of that schema, quoted as SQL needs it: `"tenant_a"."orders"`. */
  table: (name: string) => string;
}

/**
 * The query of a view: SQL, or a function that returns it, as text or as a query builder of TypeORM. A view can't have
 * parameters, so those of a query builder become literals: strings, numbers, bigints, booleans, null, and arrays of these.
 */
export type ViewExpression =
  | string
  | ((dataSource: DataSource, place: ViewPlace) => SelectQueryBuilder<ObjectLiteral> | string);

/** The schemas that each have a view of the class: their names, or a function that returns them. */
export type ViewSchemas =
  readonly string[] | ((dataSource: DataSource) => readonly string[] | Promise<readonly string[]>);

/** One key of an index, if a property name is not enough. */
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

/** An index of a view, with options that TypeORM's `@Index` doesn't have. */
export interface ViewIndexOptions {
  /** At most 63 bytes, unique in the schema. */
  name: string;
  /** Properties of the class, or keys with options, in order. */
  keys: (string | ViewIndexKey)[];
  /** @default false */
  unique?: boolean;
  /** The access method, such as `'gin'`. @default 'btree' */
  method?: string;
  /** Properties that the index includes without indexing them (INCLUDE). */
  include?: string[];
  /** A SQL predicate: the index is partial. */
  where?: string;
  /** Storage parameters, such as `{ fillfactor: 100 }`. */
  storage?: Record<string, string | number | boolean>;
  tablespace?: string;
}

/** When a view is refreshed on its own, when a refresh is skipped, and how the view is refreshed. */
export interface ViewRefreshOptions {
  /**
   * A cron expression of 5 fields, or 6 with seconds, as in Nest's `CronExpression`, or a name such as `@daily`.
   * Without `cron`, `on` and `maxStaleness` the view is refreshed only on demand.
   */
  cron?: string;
  /** The IANA time zone of `cron`. Requires `cron`. @default 'UTC' */
  timeZone?: string;
  /**
   * Who refreshes at the times of `cron`. Requires `cron`. `'application'`: the processes with `scheduling`.
   * `'pg_cron'`: a job of the extension pg_cron, in the database and also while no process runs. It is created,
   * changed and removed with the schema, and needs an expression of 5 fields in UTC. Can't be combined with `on`,
   * `maxStaleness`, `skipUnchanged` and `mode: 'swap'`, which need a process.
   * @default 'application'
   */
  scheduler?: Scheduler;
  /**
   * A committed write to one of these tables triggers a refresh, whoever writes. List entities, `table` or
   * `schema.table`. `'sources'` means everything that the view reads according to the catalog, through plain views
   * and partitions; refreshing a materialized view that it reads counts as a write. Name tables that are read inside
   * functions.
   * @default none: writes trigger no refresh
   */
  on?: 'sources' | (SourceTable | string)[];
  /**
   * How long the tables must be quiet before the refresh begins; 0 begins at once. Requires `on`.
   * @default '1s'
   */
  debounce?: Duration;
  /**
   * How long a write waits at most while others keep coming. At least `debounce`. Requires `on`.
   * @default '30s', or `debounce` if that is longer
   */
  maxWait?: Duration;
  /**
   * Whether a tick of `cron` is skipped if nothing that the view reads has changed since the last refresh. A refresh
   * on demand is never skipped for that. `true` requires `cron`, `on` or `maxStaleness`.
   * @default false, and true with `maxStaleness`
   */
  skipUnchanged?: boolean;
  /**
   * How old a write may get before readers see it, counted from its statement; more than 0. The view and the views
   * below it are refreshed in time, and only if something was written.
   * @default none
   */
  maxStaleness?: Duration;
  /**
   * How the view is refreshed. `'auto'`: concurrently, without blocking readers, if the view has rows and a usable
   * unique index; otherwise blocking. `'concurrently'`: the same, with a warning if it has to block. `'blocking'`:
   * always blocking, which is fastest if most rows change. `'swap'`: builds the new rows beside the view and swaps
   * them in. Readers wait only for a moment at the end; it needs no unique index and leaves no dead rows, but it
   * needs disk space for both copies, and nothing may depend on the view.
   * @default 'auto'
   */
  mode?: ModeChoice;
  /**
   * Whether a refresh fails with `BlockingRefusedError` instead of blocking readers because there is no usable unique
   * index. The first refresh of an empty view may still block.
   * @default false
   */
  strict?: boolean;
  /**
   * A refresh on demand is skipped if the last success ended less than this ago, in any process. It doesn't apply to
   * scheduled or write-triggered refreshes.
   * @default 0
   */
  minInterval?: Duration;
  /**
   * PostgreSQL settings for refreshes of this view only, such as `{ work_mem: '256MB' }`. Time limits, the isolation
   * level, `search_path` and roles can't be set.
   * @default {}
   */
  settings?: Record<string, string | number | boolean>;
}

/** What TypeORM maps to a table: a class or an `EntitySchema`. */
export type SourceTable = (abstract new (...args: never[]) => object) | EntitySchema;

/** The options of `@MaterializedViewEntity`. */
export interface MaterializedViewEntityOptions {
  /** At most 63 bytes. @default the class name, converted by the data source's naming strategy */
  name?: string;
  /** Created if missing. @default the data source's schema, else the connection's current schema */
  schema?: string;
  /**
   * Creates a view of the class in each of these schemas, as for tenants. Then `expression` must be a function, which
   * names its tables by `place.table`. Entities that declare no schema are those of the same schema, in a query builder
   * as well as in `on` and `dependsOn`. A function is called at boot, by `SchemaService.sync`, and once per
   * `sweepInterval`. Each view has its own state, history and ticks. The ticks come after those of `cron`, spread over
   * the time to the next one or over an hour, whichever is shorter. Can't be combined with `schema`.
   * @default none: one view
   */
  schemas?: ViewSchemas;
  expression: ViewExpression;
  /**
   * Keeps the query in a plain view of this name (`true`: the view's name with `_live` appended) and stores `SELECT
   * *` of it. The plain view always shows what a refresh would store. Both change together.
   * @default false
   */
  liveView?: boolean | string;
  /** Indexes in addition to those that `@Index` declares. */
  indexes?: ViewIndexOptions[];
  /** Without it, the view is refreshed only on demand, concurrently if possible. */
  refresh?: ViewRefreshOptions;
  /** Whether the view is filled when it is created. Otherwise the first refresh fills it. @default true */
  withData?: boolean;
  /**
   * Storage parameters, such as `{ fillfactor: 90 }`. A new heap view also gets `vacuum_truncate: false` unless you
   * set it: otherwise VACUUM may lock out readers, on standbys for a long time.
   * @default what the view has
   */
  storage?: Record<string, string | number | boolean>;
  /** @default what the view has */
  tablespace?: string;
  /** A table access method, such as `'heap'`. @default what the view has */
  accessMethod?: string;
  /** The view's comment in the database. @default what the view has */
  comment?: string;
  /** Views that must exist first but that PostgreSQL can't know about, such as those read inside functions. */
  dependsOn?: (ViewClass | string)[];
  /** The previous name, as `name` or `schema.name`. The view is renamed and keeps its rows and history. */
  renamedFrom?: string;
  /**
   * Raise it with each change of the definition. A process whose class has a lower version than the database leaves
   * the view alone, so an old release can't undo a new one during a rolling deployment.
   */
  version?: number;
}
