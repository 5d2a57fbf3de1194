import { RefreshError } from '../errors/refresh.errors.js';
import { type GraphReport, graphSummary, viewsOf } from './graph-report.js';

/**
 * Some of several views were not refreshed: they failed, depend on a failed one, or were not started before the
 * signal was aborted. The others were refreshed. `cause` is the error of the view that failed, or an `AggregateError`
 * of all.
 */
export class RefreshGraphError extends RefreshError {
  override readonly code = 'MV_GRAPH_FAILED';
  /** Whether all failures are likely to pass soon. */
  override readonly isTransient: boolean;

  /** @param report the outcome for each view */
  constructor(readonly report: GraphReport) {
    const errors = viewsOf(report, 'failed').map(({ error }) => error);
    super(`Not all views were refreshed. Of ${graphSummary(report)}`, {
      hint: 'Those views were not changed. The error of each is in `report.views`.',
      cause: errors.length > 1 ? new AggregateError(errors) : errors[0],
    });
    this.isTransient = errors.length > 0 && errors.every((error) => error.isTransient);
  }
}
