/**
 * The names under which events go to @nestjs/event-emitter, for `@OnEvent`. A dot is a level of its
 * wildcards: `materialized_view.refresh.*`.
 */
export const MaterializedViewEvents = {
  /** An attempt at a refresh begins. Payload: `RefreshStartedEvent`. */
  refreshStarted: 'materialized_view.refresh.started',
  /** New rows are committed. Payload: `RefreshSucceededEvent`. */
  refreshSucceeded: 'materialized_view.refresh.succeeded',
  /** A refresh failed and is not tried again at once. Payload: `RefreshFailedEvent`. */
  refreshFailed: 'materialized_view.refresh.failed',
  /** A refresh failed and is tried again. Payload: `RefreshRetryingEvent`. */
  refreshRetrying: 'materialized_view.refresh.retrying',
  /** Nothing was refreshed, for the reason in the result. Payload: `RefreshSkippedEvent`. */
  refreshSkipped: 'materialized_view.refresh.skipped',
  /** A view that failed was refreshed again. Payload: `ViewRecoveredEvent`. */
  recovered: 'materialized_view.recovered',
  /** A view has not been refreshed for longer than it should. Payload: `ViewStaleEvent`. */
  stale: 'materialized_view.stale',
  /** A data source was brought to what the code declares. Payload: `SyncReport`. */
  schemaSynced: 'materialized_view.schema.synced',
  /** A data source is not what the code declares, and was left so. Payload: `SyncReport`. */
  schemaDrifted: 'materialized_view.schema.drifted',
} as const;

export type MaterializedViewEventName =
  (typeof MaterializedViewEvents)[keyof typeof MaterializedViewEvents];
