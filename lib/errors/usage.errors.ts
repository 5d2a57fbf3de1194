import { MaterializedViewError } from './materialized-view.error.js';

/**
 * An option or an argument is unknown or wrong, or the module is imported wrongly. Base class of the errors for wrong
 * declarations. No SQL has been sent.
 */
export class InvalidOptionsError extends MaterializedViewError {
  readonly code: string = 'MV_INVALID_OPTIONS';
}

/** A class is decorated wrongly. Thrown when the class is decorated, or at boot if only the database can tell. */
export class InvalidDefinitionError extends InvalidOptionsError {
  override readonly code = 'MV_INVALID_DEFINITION';
}

/** A service was called before the application was initialized. */
export class NotInitializedError extends MaterializedViewError {
  readonly code = 'MV_NOT_INITIALIZED';
}

/** No registered view has this class or name, or none is registered in the data source. */
export class UnknownViewError extends InvalidOptionsError {
  override readonly code = 'MV_UNKNOWN_VIEW';
}

/** `RefreshService` was called with a plain view, which has no rows of its own. No SQL has been sent. */
export class NotMaterializedError extends InvalidOptionsError {
  override readonly code = 'MV_NOT_MATERIALIZED';
}

/** An entity manager or a repository tried to write to a materialized view. No SQL has been sent. */
export class ReadOnlyViewError extends MaterializedViewError {
  readonly code = 'MV_READ_ONLY';
}
