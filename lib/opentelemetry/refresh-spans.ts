import {
  type Attributes,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import type { RefreshService } from '../engine/refresh.service.js';
import type { RefreshEnd, RefreshWatcher } from '../metrics/refresh-watch.js';
import { REFRESH_OPERATION } from '../postgres/refresh.sql.js';
import type { GraphSpans } from './graph-spans.js';
import { known, viewAttributes } from './view-attributes.js';

interface Attempt {
  view: string;
  dataSource: string;
  trigger: string;
  attempt: number;
}

/** A span for each attempt at a refresh. One that fails before it has its lock has a span without duration. */
export function refreshSpans(
  refreshes: RefreshService,
  tracer: Tracer,
  graphs: GraphSpans,
): RefreshWatcher {
  const spans = new WeakMap<object, Span>();
  const begin = (attempt: Attempt): Span => {
    const attributes = { ...viewAttributes(refreshes, attempt), ...attributesOf(attempt) };
    const options = { kind: SpanKind.INTERNAL, attributes };
    return tracer.startSpan(`materialized_view.refresh ${attempt.view}`, options, graphs.parent());
  };
  return {
    started: (trace) => void spans.set(trace, begin(trace)),
    ended: (trace, end) => {
      const span = spans.get(trace) ?? (end.hasBegun ? undefined : begin(trace));
      if (span !== undefined) {
        endSpan(span, end);
      }
    },
    skipped: () => undefined,
  };
}

function attributesOf({ trigger, attempt }: Attempt): Attributes {
  return {
    'db.system.name': 'postgresql',
    'db.operation.name': REFRESH_OPERATION,
    'materialized_view.refresh.trigger': trigger,
    'materialized_view.refresh.attempt': attempt,
  };
}

function endSpan(span: Span, { outcome, mode, runId, error, errorType }: RefreshEnd): void {
  span.setAttributes(
    known({
      'materialized_view.refresh.outcome': outcome,
      'materialized_view.refresh.mode': mode,
      'materialized_view.refresh.run_id': runId,
      'error.type': errorType,
    }),
  );
  if (outcome === 'failure' || outcome === 'timeout') {
    span.setStatus({ code: SpanStatusCode.ERROR, message: error?.message });
  }
  span.end();
}
