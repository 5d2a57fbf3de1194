import { hideRowData } from './server-error.js';

/** What each error of this library has besides its message. */
export interface MaterializedViewErrorDetails {
  /** The view that it is about, as `schema.name`. */
  view?: string;
  /** What to do about it. */
  hint?: string;
  /** The error that caused it; for a failed statement the error of pg, with the SQLSTATE in `code`. */
  cause?: unknown;
}

/**
 * Base class of all errors of this library. Neither its message nor a printed error, its `cause` included, holds row
 * data. If PostgreSQL's own text may hold some, it is in `cause.originalMessage`, next to `cause.detail` and the
 * like. These properties are not enumerable: show them only to people who may read the rows.
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
