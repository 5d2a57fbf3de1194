import { MaterializedViewError } from './materialized-view.error.js';

/** A view, an index or the library's own tables could not be created. Nothing has been changed. */
export class SchemaSyncError extends MaterializedViewError {
  readonly code = 'MV_SCHEMA_SYNC_FAILED';
}

/** Another process holds the sync lock for longer than `syncTimeout`. Nothing has been changed. */
export class SyncLockTimeoutError extends MaterializedViewError {
  readonly code = 'MV_SYNC_LOCK_TIMEOUT';
}

/**
 * Something depends on a view that has to be rebuilt or dropped, and would stand in the way, or the view has something
 * that a new one would not have. Nothing has been changed.
 */
export class UnmanagedDependentsError extends MaterializedViewError {
  readonly code = 'MV_UNMANAGED_DEPENDENTS';
}

/** Views read each other in a circle. Nothing has been changed, and nothing refreshed. */
export class DependencyCycleError extends MaterializedViewError {
  readonly code = 'MV_DEPENDENCY_CYCLE';
}

/** The database is not what the code declares, and the policy forbids to change it. */
export class SchemaDriftError extends MaterializedViewError {
  readonly code = 'MV_SCHEMA_DRIFT';
}

/** The database is not as it was when a plan was made. Nothing has been changed. */
export class PlanOutdatedError extends MaterializedViewError {
  readonly code = 'MV_PLAN_OUTDATED';
}

/** The state schema, or something in it, belongs to a role that this one has no reason to trust. Nothing has been changed. */
export class ForeignStateSchemaError extends MaterializedViewError {
  readonly code = 'MV_FOREIGN_STATE_SCHEMA';
}

/** A view is to be refreshed by pg_cron, which this database does not have, or not as it is needed. Nothing has been changed. */
export class PgCronUnavailableError extends MaterializedViewError {
  readonly code = 'MV_PG_CRON_UNAVAILABLE';
}
