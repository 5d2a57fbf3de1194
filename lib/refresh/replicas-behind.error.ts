import { MaterializedViewError } from '../errors/materialized-view.error.js';
import type { RefreshResult } from './refresh-result.js';

/** Standbys do not show in time what a refresh with `waitForReplicas` has committed. The refresh itself has succeeded. */
export class ReplicasBehindError extends MaterializedViewError {
  readonly code = 'MV_REPLICAS_BEHIND';

  /** @param result what the refresh gave */
  constructor(
    readonly result: RefreshResult,
    message: string,
    hint: string,
  ) {
    super(message, { view: result.view, hint });
  }
}
