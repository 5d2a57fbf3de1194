import { MaterializedViewError } from './materialized-view.error.js';

/** A refresh failed; the view has the rows that it had before. Base of all errors of a refresh. */
export class RefreshError extends MaterializedViewError {
  readonly code: string = 'MV_REFRESH_FAILED';
  /** Whether the same refresh may well succeed when it is tried again soon. */
  readonly isTransient: boolean = false;
}

/** The view was locked for longer than `lockTimeout`, or a deadlock was resolved against the refresh. */
export class RefreshLockError extends RefreshError {
  override readonly code = 'MV_REFRESH_LOCKED';
  override readonly isTransient = true;
}

/** Another refresh of the view is running, and the caller asked with `onBusy: 'fail'`. */
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

/** The refresh would have stopped the readers of the view, and `strict` forbids that. */
export class BlockingRefusedError extends RefreshError {
  override readonly code = 'MV_BLOCKING_REFUSED';
}

/** The refresh took longer than `statementTimeout`, or the call longer than its `timeout`. */
export class RefreshTimeoutError extends RefreshError {
  override readonly code = 'MV_REFRESH_TIMEOUT';
}

/** The refresh was cancelled: by the stopping application, by its caller, or in the database. */
export class RefreshCancelledError extends RefreshError {
  override readonly code = 'MV_REFRESH_CANCELLED';
}

/** No connection could be had, or it was lost. The message says whether the outcome is known. */
export class ConnectionFailedError extends RefreshError {
  override readonly code = 'MV_CONNECTION_FAILED';
  override readonly isTransient = true;
}

/** The server is a standby or read-only. */
export class NotPrimaryError extends RefreshError {
  override readonly code = 'MV_NOT_PRIMARY';
  override readonly isTransient = true;
}

/** The server is out of disk, memory or room for temporary files. */
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

/** The query gives the same unique key twice. */
export class DuplicateRowsError extends RefreshError {
  override readonly code = 'MV_DUPLICATE_ROWS';
}

/** The query of the view fails: a function, column or value is not as it expects. */
export class ViewQueryError extends RefreshError {
  override readonly code = 'MV_VIEW_QUERY_FAILED';
}

/** The view cannot be refreshed by swap: something depends on it, or belongs to it that a copy would not have. */
export class SwapRefusedError extends RefreshError {
  override readonly code = 'MV_SWAP_REFUSED';
}

/** The application is stopping and takes no more refreshes. */
export class RefreshStoppedError extends RefreshError {
  override readonly code = 'MV_STOPPED';

  static of(view: string): RefreshStoppedError {
    return new RefreshStoppedError(
      `Materialized view "${view}" was not refreshed: the application is stopping.`,
      { view },
    );
  }
}
