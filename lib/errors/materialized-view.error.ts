/** What every error of this library carries besides its message. */
export interface MaterializedViewErrorDetails {
  /** The view that it is about, as `schema.name`. */
  view?: string;
  /** What to do about it. */
  hint?: string;
  /** The error behind it; for a failed statement PostgreSQL's own, with its SQLSTATE in `code`. */
  cause?: unknown;
}

/**
 * The base of all errors of this library. `code` is stable and safe to show; `cause` is not: its
 * detail may hold row data.
 */
export abstract class MaterializedViewError extends Error {
  abstract readonly code: string;
  readonly view?: string;
  readonly hint?: string;

  constructor(message: string, { view, hint, cause }: MaterializedViewErrorDetails = {}) {
    super(hint === undefined ? message : `${message} ${hint}`, { cause });
    this.name = new.target.name;
    this.view = view;
    this.hint = hint;
  }
}
