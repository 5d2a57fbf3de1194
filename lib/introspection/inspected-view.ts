/** Something that a view reads, or that reads a view. */
export interface CatalogObject {
  /** A `table` may also be partitioned or foreign. */
  kind: 'table' | 'view' | 'materialized-view' | 'function';
  schema: string;
  /** A function with its arguments, as `name(integer, text)`. */
  name: string;
}

/** A column of a view. */
export interface InspectedColumn {
  name: string;
  /** As PostgreSQL prints it, such as `numeric(10,2)`. */
  type: string;
  comment?: string;
}

/** An index of a materialized view. */
export interface InspectedIndex {
  name: string;
  /** Its CREATE INDEX statement; `undefined` while it is locked against readers. */
  definition?: string;
  /** Its access method, such as `btree`. */
  method: string;
  isUnique: boolean;
  /** `false` if building it failed: no query uses it then. */
  isValid: boolean;
  /**
   * Whether PostgreSQL can use it to refresh the view concurrently: unique, valid, on plain columns, without a
   * predicate.
   */
  allowsConcurrently: boolean;
  /** How often it was scanned since the statistics of the database were last reset. */
  scanCount: number;
  /** `undefined` while it is locked against readers. */
  sizeBytes?: number;
  comment?: string;
}

/** A view in the database, declared or not. */
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
  /** Its query as PostgreSQL prints it; `undefined` while the view or what it reads is locked against readers. */
  definition?: string;
  columns: InspectedColumn[];
  /** Whether it can be read; a plain view always can. */
  isPopulated: boolean;
  /** With its indexes; `undefined` for a plain view, and while it is locked against readers. */
  sizeBytes?: number;
  /** From the last ANALYZE or VACUUM; `undefined` before the first, and for a plain view. */
  rowCountEstimate?: number;
  /** By name. A plain view has none. */
  indexes: InspectedIndex[];
  /** What it reads directly. */
  dependencies: CatalogObject[];
  /** What it reads, directly or not, each after what it reads itself. */
  allDependencies: CatalogObject[];
  /** The views and functions that read it directly. */
  dependents: CatalogObject[];
  /** The views and functions that read it, directly or not, each after what it reads itself. */
  allDependents: CatalogObject[];
}
