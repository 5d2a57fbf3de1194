import { RefreshError } from '../errors/refresh.errors.js';
import { type GraphReport, graphSummary, viewsOf } from './graph-report.js';

/**
 * Of several views that were to be refreshed, some were not: they failed, depend on one that did, or were
 * not begun before the signal was aborted. The others were refreshed, and stay so. `cause` is the error of
 * the one view that failed, or an `AggregateError` of all.
 */
export class RefreshGraphError extends RefreshError {
  override readonly code = 'MV_GRAPH_FAILED';
  /** Whether all failures are of the kind that may well be over soon. */
  override readonly isTransient: boolean;

  /** @param report what became of each view */
  constructor(readonly report: GraphReport) {
    const errors = viewsOf(report, 'failed').map(({ error }) => error);
    super(`Not all views were refreshed. Of ${graphSummary(report)}`, {
      hint: 'Those views were not changed. The error of each is in `report.views`.',
      cause: errors.length > 1 ? new AggregateError(errors) : errors[0],
    });
    this.isTransient = errors.length > 0 && errors.every((error) => error.isTransient);
  }
}
