import { MaterializedViewError } from './materialized-view.error.js';

/**
 * An option or an argument is unknown or not as it must be, or the module is imported wrongly. Base of the errors for
 * wrong declarations. No SQL has been sent.
 */
export class InvalidOptionsError extends MaterializedViewError {
  readonly code: string = 'MV_INVALID_OPTIONS';
}

/** A class is decorated wrongly. Thrown when the class is decorated, or at boot where it shows only there. */
export class InvalidDefinitionError extends InvalidOptionsError {
  override readonly code = 'MV_INVALID_DEFINITION';
}

/** A service was called before the application was initialized, when no view is registered yet. */
export class NotInitializedError extends MaterializedViewError {
  readonly code = 'MV_NOT_INITIALIZED';
}

/** No registered view answers to the class or the name, or none is registered in the data source. */
export class UnknownViewError extends InvalidOptionsError {
  override readonly code = 'MV_UNKNOWN_VIEW';
}

/** `RefreshService` was asked about a plain view, which has no rows of its own. No SQL has been sent. */
export class NotMaterializedError extends InvalidOptionsError {
  override readonly code = 'MV_NOT_MATERIALIZED';
}

/** An entity manager or a repository was asked to write to a materialized view. No SQL has been sent. */
export class ReadOnlyViewError extends MaterializedViewError {
  readonly code = 'MV_READ_ONLY';
}
