/**
 * The names of the channels in node:diagnostics_channel. A tracing channel publishes under `tracing:<name>:start`,
 * `tracing:<name>:asyncEnd` and `tracing:<name>:error`.
 */
export const MaterializedViewChannels = {
  /** A tracing channel: each attempt at a refresh. Message: `RefreshTrace`. */
  refresh: 'nestjs-materialized-views.refresh',
  /** A tracing channel: each `refreshMany`, `refreshAll` and `after`, around its refreshes. Message: `GraphTrace`. */
  refreshGraph: 'nestjs-materialized-views.refresh_graph',
  /** Each refresh that was skipped. Message: `RefreshSkippedEvent`. */
  skip: 'nestjs-materialized-views.skip',
  /** A tracing channel: each `SchemaService.diff`. Message: `DiffTrace`. */
  diff: 'nestjs-materialized-views.diff',
  /** The report of each synchronization, including failed ones. Message: `SyncReport`. */
  sync: 'nestjs-materialized-views.sync',
} as const;
