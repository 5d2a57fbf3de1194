/**
 * Views, the module, and the services.
 *
 * @module nestjs-materialized-views
 */

export type { ViewClass } from './definition/view-class.js';
export { type ViewTarget } from './definition/view.registry.js';
export {
  defineMaterializedView,
  type DefineMaterializedViewOptions,
} from './nest/define-materialized-view.js';
export { MaterializedViewEntity } from './nest/materialized-view-entity.decorator.js';
export { PlainViewEntity } from './nest/plain-view-entity.decorator.js';
export { inSchema } from './definition/in-schema.js';
export { getViewOptions } from './definition/definition-metadata.accessor.js';
export type {
  MaterializedViewEntityOptions,
  ViewPlace,
  ViewIndexOptions,
  ViewRefreshOptions,
} from './definition/materialized-view-entity.options.js';
export type { PlainViewEntityOptions } from './definition/plain-view-entity.options.js';
export { MaterializedViewError } from './errors/materialized-view.error.js';
export {
  BlockingRefusedError,
  ConnectionFailedError,
  DuplicateRowsError,
  InsufficientPrivilegeError,
  NotPrimaryError,
  RefreshBusyError,
  RefreshCancelledError,
  RefreshError,
  RefreshLockError,
  RefreshStoppedError,
  RefreshTimeoutError,
  ServerResourcesError,
  SwapRefusedError,
  ViewMissingError,
  ViewQueryError,
} from './errors/refresh.errors.js';
export {
  DependencyCycleError,
  PlanOutdatedError,
  ForeignStateSchemaError,
  PgCronUnavailableError,
  SchemaDriftError,
  SchemaSyncError,
  SyncLockTimeoutError,
  UnmanagedDependentsError,
} from './errors/schema.errors.js';
export { StatusError, ViewNotPopulatedError } from './errors/status.errors.js';
export {
  InvalidDefinitionError,
  InvalidOptionsError,
  NotInitializedError,
  NotMaterializedError,
  ReadOnlyViewError,
  UnknownViewError,
} from './errors/usage.errors.js';
export { MaterializedViewsModule } from './nest/materialized-views.module.js';
export type { MaterializedViewsOptionsFactory } from './nest/materialized-views.module-definition.js';
export type { LockHolder } from './definition/lock-holder.js';
export type { Duration } from './definition/duration.js';
export type { MaterializedViewsModuleOptions } from './definition/module.options.js';
export type { AfterResult } from './refresh/after-commit.js';
export { RefreshGraphError } from './refresh/refresh-graph.error.js';
export { ReplicasBehindError } from './refresh/replicas-behind.error.js';
export type { DataDrift } from './status/data-drift.js';
export type {
  RecentRuns,
  RefreshHistoryEntry,
  ViewHistoryEntry,
} from './status/refresh-history.js';
export type { GraphReport, GraphViewReport } from './refresh/graph-report.js';
export type {
  JoinedResult,
  RefreshedResult,
  RefreshMode,
  RefreshResult,
  SkippedResult,
} from './refresh/refresh-result.js';
export type { RefreshOptions, SingleRefreshOptions } from './refresh/refresh-options.js';
export type { RunningRefresh } from './refresh/refresh.control.js';
export { MaterializedViewChannels } from './definition/materialized-view.channels.js';
export { MaterializedViewEvents } from './definition/materialized-view.events.js';
export type {
  GraphTrace,
  RefreshFailedEvent,
  RefreshRetryingEvent,
  RefreshSkippedEvent,
  RefreshStartedEvent,
  RefreshSucceededEvent,
  RefreshTrace,
  ViewRecoveredEvent,
  ViewStaleEvent,
} from './refresh/refresh-events.js';
export { RefreshService } from './engine/refresh.service.js';
export type { RefreshAllOptions, RefreshManyOptions } from './refresh/graph-options.js';
export type { ViewStatus } from './status/view-status.js';
export type { ViewChanges } from './tracking/view-changes.js';
export type {
  AnswerOptions,
  DeclaredQuery,
  DriftQuery,
  HistoryAllQuery,
  HistoryQuery,
  InspectQuery,
  RecentRunsQuery,
  StatusAllQuery,
  StatusQuery,
  ViewDataSource,
} from './engine/status-queries.js';
export type {
  CatalogObject,
  InspectedColumn,
  InspectedIndex,
  InspectedView,
} from './introspection/inspected-view.js';
export type { PlanStep } from './schema/plan-step.js';
export type { SchemaPlan, SkippedView } from './schema/schema-plan.js';
export type { DiffTrace } from './engine/diff-channel.js';
export { SchemaService } from './engine/schema.service.js';
export type { DeclaredView } from './definition/declared-view.js';
export type { SchemasChange } from './engine/schemas.watch.js';
export type { DataSourceSelector, ViewSelector } from './definition/data-source-selector.js';
export type { PlanOptions } from './schema/schema-options.js';
export type { SchemaDifference } from './schema/schema-difference.js';
export type { SyncReport, ViewReport, SyncOutcome } from './schema/sync-report.js';
export { alterTable, type AlterTableOptions } from './schema/alter-table.js';
export type { MigrationFile, MigrationOptions } from './schema/migration-writer.js';
