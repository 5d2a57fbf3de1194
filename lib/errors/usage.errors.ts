import { MaterializedViewError } from './materialized-view.error.js';

/** A class is decorated wrongly. Thrown when the class is decorated, or at boot where it shows only there. */
export class InvalidDefinitionError extends MaterializedViewError {
  readonly code = 'MV_INVALID_DEFINITION';
}

/** The module is imported or configured wrongly. Thrown by `forRoot` and its like, or at boot. */
export class InvalidModuleOptionsError extends MaterializedViewError {
  readonly code = 'MV_INVALID_MODULE_OPTIONS';
}

/** A refresh was asked for with options that are not as they must be. No SQL has been sent. */
export class InvalidRefreshOptionsError extends MaterializedViewError {
  readonly code = 'MV_INVALID_REFRESH_OPTIONS';
}

/** No registered view answers to the class or the name. */
export class UnknownViewError extends MaterializedViewError {
  readonly code = 'MV_UNKNOWN_VIEW';
}

/** An entity manager or a repository was asked to write to a materialized view. No SQL has been sent. */
export class ReadOnlyViewError extends MaterializedViewError {
  readonly code = 'MV_READ_ONLY';
}
