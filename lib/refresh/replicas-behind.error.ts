import { MaterializedViewError } from '../errors/materialized-view.error.js';
import type { RefreshResult } from './refresh-result.js';

/** A refresh with `waitForReplicas` succeeded, but standbys didn't show it in time. */
export class ReplicasBehindError extends MaterializedViewError {
  readonly code = 'MV_REPLICAS_BEHIND';

  /** @param result the result of the refresh */
  constructor(
    readonly result: RefreshResult,
    message: string,
    hint: string,
  ) {
    super(message, { view: result.view, hint });
  }
}
