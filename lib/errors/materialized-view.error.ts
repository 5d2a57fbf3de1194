import { hideRowData } from './server-error.js';

/** What every error of this library carries besides its message. */
export interface MaterializedViewErrorDetails {
  /** The view that it is about, as `schema.name`. */
  view?: string;
  /** What to do about it. */
  hint?: string;
  /** The error behind it; for a failed statement that of pg, with PostgreSQL's SQLSTATE in `code`. */
  cause?: unknown;
}

/**
 * The base of all errors of this library. Neither its message nor what a logger prints of it, its `cause` included, holds
 * row data. Where PostgreSQL's own error may, its text is in `cause.originalMessage`, beside `cause.detail` and the like:
 * properties that are not enumerable, to be shown to nobody who may not read the rows.
 */
export abstract class MaterializedViewError extends Error {
  abstract readonly code: string;
  readonly view?: string;
  readonly hint?: string;

  constructor(message: string, { view, hint, cause }: MaterializedViewErrorDetails = {}) {
    super(hint === undefined ? message : `${message} ${hint}`, { cause });
    hideRowData(cause);
    this.name = new.target.name;
    this.view = view;
    this.hint = hint;
  }
}
