import { MaterializedViewError } from './materialized-view.error.js';

/** A view, an index or the library's own tables could not be created. Nothing has been changed. */
export class SchemaSyncError extends MaterializedViewError {
  readonly code = 'MV_SCHEMA_SYNC_FAILED';
}

/** Another process has been changing views for longer than `syncTimeout`. Nothing has been changed. */
export class SyncLockTimeoutError extends MaterializedViewError {
  readonly code = 'MV_SYNC_LOCK_TIMEOUT';
}

/**
 * Something depends on a view that has to be rebuilt or dropped, or the view has something that a rebuild would lose.
 * Nothing has been changed.
 */
export class UnmanagedDependentsError extends MaterializedViewError {
  readonly code = 'MV_UNMANAGED_DEPENDENTS';
}

/** Views read each other in a circle. Nothing has been changed, and nothing refreshed. */
export class DependencyCycleError extends MaterializedViewError {
  readonly code = 'MV_DEPENDENCY_CYCLE';
}

/** The database differs from the code, and the policy forbids changing it. */
export class SchemaDriftError extends MaterializedViewError {
  readonly code = 'MV_SCHEMA_DRIFT';
}

/** The database has changed since the plan was made. Nothing has been changed. */
export class PlanOutdatedError extends MaterializedViewError {
  readonly code = 'MV_PLAN_OUTDATED';
}

/** The state schema, or something in it, belongs to a role that this one doesn't trust. Nothing has been changed. */
export class ForeignStateSchemaError extends MaterializedViewError {
  readonly code = 'MV_FOREIGN_STATE_SCHEMA';
}

/**
 * A view has `scheduler: 'pg_cron'`, but this database doesn't have pg_cron, or not as needed. Nothing has been
 * changed.
 */
export class PgCronUnavailableError extends MaterializedViewError {
  readonly code = 'MV_PG_CRON_UNAVAILABLE';
}
