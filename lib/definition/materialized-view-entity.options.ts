import type { DataSource, ObjectLiteral, SelectQueryBuilder } from 'typeorm';

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

/** When a view is refreshed by itself. */
export interface ViewRefreshOptions {
  /** A cron expression of 5 or 6 fields (with seconds), such as Nest's `CronExpression` has. */
  cron: string;
  /** An IANA time zone. @default 'UTC' */
  timeZone?: string;
}

/** The options of `@MaterializedViewEntity`. */
export interface MaterializedViewEntityOptions {
  /** At most 63 bytes. @default what the data source's naming strategy makes of the class name */
  name?: string;
  /** Made when missing. @default the data source's schema, else the connection's current schema */
  schema?: string;
  expression: ViewExpression;
  /** Indexes beside those that `@Index` declares. */
  indexes?: ViewIndexOptions[];
  /** Left out, the view is refreshed on demand alone. */
  refresh?: ViewRefreshOptions;
}
