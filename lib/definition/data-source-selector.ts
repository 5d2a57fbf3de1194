/** Which view of a class is meant. */
export interface ViewSelector extends DataSourceSelector {
  /** The schema of the view. Needed for a class that has views in several (`schemas`). */
  schema?: string;
}

/** Which data source of a view or a schema is meant. */
export interface DataSourceSelector {
  /**
   * The name of the data source. `RefreshService` needs it only for a view that is registered in several.
   * @default the one data source that has the view; for `SchemaService`, 'default'
   */
  dataSource?: string;
}
