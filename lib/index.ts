export type { ViewClass } from './definition/view-class.js';
export { type ViewTarget } from './definition/definition.registry.js';
export {
  defineMaterializedView,
  type DefineMaterializedViewOptions,
  type ViewColumnDefinition,
} from './definition/define-materialized-view.js';
export { MaterializedViewEntity } from './definition/materialized-view-entity.decorator.js';
export { getViewOptions } from './definition/definition-metadata.accessor.js';
export type {
  MaterializedViewEntityOptions,
  ViewExpression,
  ViewIndexKey,
  ViewIndexOptions,
  ViewRefreshOptions,
} from './definition/materialized-view-entity.options.js';
export {
  MaterializedViewError,
  type MaterializedViewErrorDetails,
} from './errors/materialized-view.error.js';
export {
  ConnectionFailedError,
  DuplicateRowsError,
  InsufficientPrivilegeError,
  NotPrimaryError,
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
  SchemaDriftError,
  SchemaSyncError,
  SyncLockTimeoutError,
  UnmanagedDependentsError,
} from './errors/schema.errors.js';
export {
  InvalidDefinitionError,
  InvalidModuleOptionsError,
  ReadOnlyViewError,
  UnknownViewError,
} from './errors/usage.errors.js';
export { MaterializedViewsModule } from './materialized-views.module.js';
export type {
  MaterializedViewsModuleExtras,
  MaterializedViewsOptionsFactory,
} from './materialized-views.module-definition.js';
export type { Duration, MaterializedViewsModuleOptions } from './materialized-views.options.js';
export type {
  RefreshedResult,
  RefreshMode,
  RefreshModeReason,
  RefreshResult,
  RefreshTrigger,
  SkippedResult,
  SkipReason,
} from './refresh/refresh-result.js';
export { type RefreshOptions, RefreshService } from './refresh/refresh.service.js';
export type { SyncPolicy } from './materialized-views.options.js';
export type { PlanAction, PlanStep } from './schema/plan-step.js';
export type { SchemaPlan, SkippedView } from './schema/schema-plan.js';
export {
  type PlanOptions,
  type SchemaDifference,
  type SchemaOptions,
  SchemaService,
} from './schema/schema.service.js';
export {
  SYNC_CHANNEL,
  type SyncReport,
  type ViewReport,
  type ViewStatus,
} from './schema/sync-report.js';
export { alterTable, type AlterTableOptions } from './schema/alter-table.js';
export type { MigrationFile, MigrationOptions } from './schema/migration-writer.js';
