import { MaterializedViewError } from './materialized-view.error.js';

/** A view, an index or the library's own tables could not be created. Nothing has been changed. */
export class SchemaSyncError extends MaterializedViewError {
  readonly code = 'MV_SCHEMA_SYNC_FAILED';
}

/** Another process holds the sync lock for longer than `syncTimeout`. Nothing has been changed. */
export class SyncLockTimeoutError extends MaterializedViewError {
  readonly code = 'MV_SYNC_LOCK_TIMEOUT';
}
