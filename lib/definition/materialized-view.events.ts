/**
 * The names of the events for @nestjs/event-emitter, for `@OnEvent`. Dots separate the levels of
 * its wildcards: `materialized_view.refresh.*`.
 */
export const MaterializedViewEvents = {
  /** An attempt at a refresh begins. Payload: `RefreshStartedEvent`. */
  refreshStarted: 'materialized_view.refresh.started',
  /** New rows are committed. Payload: `RefreshSucceededEvent`. */
  refreshSucceeded: 'materialized_view.refresh.succeeded',
  /** A refresh failed and is not retried at once. Payload: `RefreshFailedEvent`. */
  refreshFailed: 'materialized_view.refresh.failed',
  /** A refresh failed and is retried. Payload: `RefreshRetryingEvent`. */
  refreshRetrying: 'materialized_view.refresh.retrying',
  /** A refresh was skipped, for the reason in the result. Payload: `RefreshSkippedEvent`. */
  refreshSkipped: 'materialized_view.refresh.skipped',
  /** A view that failed was refreshed again. Payload: `ViewRecoveredEvent`. */
  recovered: 'materialized_view.recovered',
  /** A view has become stale. Payload: `ViewStaleEvent`. */
  stale: 'materialized_view.stale',
  /**
   * A boot or `SchemaService.apply` left all views of a data source as declared. Payload:
   * `SyncReport`.
   */
  schemaSynced: 'materialized_view.schema.synced',
  /** A data source still differs from the code. Payload: `SyncReport`. */
  schemaDrifted: 'materialized_view.schema.drifted',
} as const;

export type MaterializedViewEventName =
  (typeof MaterializedViewEvents)[keyof typeof MaterializedViewEvents];
