import { MaterializedViewError } from '../errors/materialized-view.error.js';

/** The command line is wrong. */
export class CommandLineUsageError extends MaterializedViewError {
  readonly code = 'MV_USAGE';
}

/** The data source's file can't be loaded, or its export can't be used. */
export class DataSourceFileError extends MaterializedViewError {
  readonly code = 'MV_DATA_SOURCE_FILE';
}
