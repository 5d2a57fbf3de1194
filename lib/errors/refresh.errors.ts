import { MaterializedViewError } from './materialized-view.error.js';

/** A refresh failed. The view keeps its rows. Base class of all refresh errors. */
export class RefreshError extends MaterializedViewError {
  readonly code: string = 'MV_REFRESH_FAILED';
  /** Whether the same refresh is likely to succeed if it is retried soon. */
  readonly isTransient: boolean = false;
}

/** The view was locked for longer than `lockTimeout`, or PostgreSQL cancelled the refresh to end a deadlock. */
export class RefreshLockError extends RefreshError {
  override readonly code = 'MV_REFRESH_LOCKED';
  override readonly isTransient = true;
}

/** Another refresh of the view is running, and the call had `onBusy: 'fail'`. */
export class RefreshBusyError extends RefreshError {
  override readonly code = 'MV_BUSY';
  override readonly isTransient = true;

  static of(view: string): RefreshBusyError {
    return new RefreshBusyError(
      `Materialized view "${view}" was not refreshed: another refresh of it is running.`,
      { view },
    );
  }
}

/** The refresh would have blocked the view's readers, and `strict` forbids that. */
export class BlockingRefusedError extends RefreshError {
  override readonly code = 'MV_BLOCKING_REFUSED';
}

/** The refresh took longer than `statementTimeout`, or the call longer than its `timeout`. */
export class RefreshTimeoutError extends RefreshError {
  override readonly code = 'MV_REFRESH_TIMEOUT';
}

/** A shutdown, the caller or someone in the database cancelled the refresh. */
export class RefreshCancelledError extends RefreshError {
  override readonly code = 'MV_REFRESH_CANCELLED';
}

/** There was no connection, or it was lost. The message says whether the outcome is known. */
export class ConnectionFailedError extends RefreshError {
  override readonly code = 'MV_CONNECTION_FAILED';
  override readonly isTransient = true;
}

/** The server is a standby or read-only. */
export class NotPrimaryError extends RefreshError {
  override readonly code = 'MV_NOT_PRIMARY';
  override readonly isTransient = true;
}

/** The server ran out of disk, memory or temporary file space. */
export class ServerResourcesError extends RefreshError {
  override readonly code = 'MV_SERVER_RESOURCES';
}

/** No materialized view has this name in the database. */
export class ViewMissingError extends RefreshError {
  override readonly code = 'MV_VIEW_MISSING';
}

/** The role, or the owner of the view, lacks a privilege. */
export class InsufficientPrivilegeError extends RefreshError {
  override readonly code = 'MV_INSUFFICIENT_PRIVILEGE';
}

/** The query returns the same unique key twice. */
export class DuplicateRowsError extends RefreshError {
  override readonly code = 'MV_DUPLICATE_ROWS';
}

/** The view's query fails: a function, a column or a value is not what it expects. */
export class ViewQueryError extends RefreshError {
  override readonly code = 'MV_VIEW_QUERY_FAILED';
}

/** The view can't be refreshed by swap: something depends on it, or it has something that a copy would lose. */
export class SwapRefusedError extends RefreshError {
  override readonly code = 'MV_SWAP_REFUSED';
}

/** The application is shutting down and accepts no more refreshes. */
export class RefreshStoppedError extends RefreshError {
  override readonly code = 'MV_STOPPED';

  static of(view: string): RefreshStoppedError {
    return new RefreshStoppedError(
      `Materialized view "${view}" was not refreshed: the application is stopping.`,
      { view },
    );
  }
}
