import { MaterializedViewError } from './materialized-view.error.js';

/** History, status or drift of a view could not be read. Nothing has been changed. */
export class StatusError extends MaterializedViewError {
  readonly code: string = 'MV_STATUS_FAILED';
}

/** The view has no rows to compare: it was never filled, or was emptied WITH NO DATA. */
export class ViewNotPopulatedError extends StatusError {
  override readonly code = 'MV_VIEW_NOT_POPULATED';
}
