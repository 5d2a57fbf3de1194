/** Something that views read, or that reads them. */
export interface CatalogObject {
  /** A `table` is also a partitioned or a foreign one. */
  kind: 'table' | 'view' | 'materialized-view' | 'function';
  schema: string;
  /** A function with its arguments, as `name(integer, text)`. */
  name: string;
}

/** A column of a view. */
export interface InspectedColumn {
  name: string;
  /** As PostgreSQL writes it, as in `numeric(10,2)`. */
  type: string;
  comment?: string;
}

/** An index of a materialized view. */
export interface InspectedIndex {
  name: string;
  /** The CREATE INDEX that makes it; `undefined` while it is locked against readers. */
  definition?: string;
  /** Its access method, as `btree`. */
  method: string;
  isUnique: boolean;
  /** Not so when building it failed: then no query uses it. */
  isValid: boolean;
  /** Whether it lets PostgreSQL refresh the view concurrently: unique, valid, on plain columns, and for all rows. */
  allowsConcurrently: boolean;
  /** How often it was read since the statistics of the database were reset last. */
  scanCount: number;
  /** `undefined` while it is locked against readers. */
  sizeBytes?: number;
  comment?: string;
}

/** A view as the database has it, declared or not. */
export interface InspectedView {
  dataSource: string;
  /** `schema.name`. */
  view: string;
  schema: string;
  name: string;
  kind: 'view' | 'materialized-view';
  /** Whether a class of this application declares it. */
  isManaged: boolean;
  owner: string;
  comment?: string;
  /** Its query as PostgreSQL writes it; `undefined` while the view or what it reads is locked against readers. */
  definition?: string;
  columns: InspectedColumn[];
  /** Whether it can be read; a plain view always can. */
  isPopulated: boolean;
  /** With its indexes; `undefined` for a plain view, and while it is locked against readers. */
  sizeBytes?: number;
  /** As of the last ANALYZE or VACUUM; `undefined` before the first, and for a plain view. */
  rowCountEstimate?: number;
  /** By name. A plain view has none. */
  indexes: InspectedIndex[];
  /** What it reads directly. */
  dependencies: CatalogObject[];
  /** What it reads, at whatever distance, each after all that it reads itself. */
  allDependencies: CatalogObject[];
  /** The views and functions that read it directly. */
  dependents: CatalogObject[];
  /** The views and functions that read it, at whatever distance, each after all that it reads itself. */
  allDependents: CatalogObject[];
}
