import type { Meter } from '@opentelemetry/api';
import type { RefreshService } from '../engine/refresh.service.js';
import {
  ACTIVE,
  DURATION,
  DURATION_BUCKETS,
  SKIPS,
  WAIT_TIME,
} from '../metrics/process-metrics.js';
import type { RefreshWatcher } from '../metrics/refresh-watch.js';
import { known, viewAttributes } from './view-attributes.js';

export function refreshMetrics(refreshes: RefreshService, meter: Meter): RefreshWatcher {
  const advice = { explicitBucketBoundaries: DURATION_BUCKETS };
  const duration = meter.createHistogram(DURATION.name, { ...DURATION, advice });
  const wait = meter.createHistogram(WAIT_TIME.name, { ...WAIT_TIME, advice });
  const active = meter.createUpDownCounter(ACTIVE.name, ACTIVE);
  const skips = meter.createCounter(SKIPS.name, SKIPS);
  return {
    started: (trace) => {
      const view = viewAttributes(refreshes, trace);
      active.add(1, view);
      wait.record((trace.waitMs ?? 0) / 1_000, view);
    },
    ended: (trace, { hasBegun, outcome, mode, errorType, durationMs }) => {
      const view = viewAttributes(refreshes, trace);
      if (hasBegun) {
        active.add(-1, view);
      }
      const attributes = known({
        ...view,
        'materialized_view.refresh.mode': mode,
        'materialized_view.refresh.trigger': trace.trigger,
        'materialized_view.refresh.outcome': outcome,
        'error.type': errorType,
      });
      duration.record(durationMs / 1_000, attributes);
    },
    skipped: (event) => {
      const view = viewAttributes(refreshes, event);
      skips.add(1, { ...view, 'materialized_view.refresh.skip_reason': event.result.reason });
    },
  };
}
