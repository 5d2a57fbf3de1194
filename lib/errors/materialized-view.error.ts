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
    hideRowData(cause);
    this.name = new.target.name;
    this.view = view;
    this.hint = hint;
  }
}

/** Where PostgreSQL puts keys and rows. */
const ROW_DATA = ['detail', 'where', 'internalQuery'];

/** Still there for who asks for it by name, but not printed with the error: logs are read by many. */
function hideRowData(cause: unknown): void {
  if (cause instanceof Error) {
    for (const name of ROW_DATA.filter((each) => Object.hasOwn(cause, each))) {
      // Not Object.defineProperty, which would throw for a frozen error.
      Reflect.defineProperty(cause, name, { enumerable: false });
    }
  }
}
