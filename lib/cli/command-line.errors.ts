import { MaterializedViewError } from '../errors/materialized-view.error.js';

/** The command line is not as it must be. */
export class CommandLineUsageError extends MaterializedViewError {
  readonly code = 'MV_USAGE';
}

/** The data source's file cannot be loaded, or what it exports cannot be used. */
export class DataSourceFileError extends MaterializedViewError {
  readonly code = 'MV_DATA_SOURCE_FILE';
}
