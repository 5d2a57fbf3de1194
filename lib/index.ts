export { type ViewClass } from './definition/definition-metadata.accessor.js';
export { type ViewTarget } from './definition/definition.registry.js';
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
  ViewMissingError,
  ViewQueryError,
} from './errors/refresh.errors.js';
export { SchemaSyncError, SyncLockTimeoutError } from './errors/schema.errors.js';
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
