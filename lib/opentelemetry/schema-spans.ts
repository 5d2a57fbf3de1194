import {
  type Attributes,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';
import { diffChannel, type DiffTrace } from '../engine/diff-channel.js';
import type { RefreshService } from '../engine/refresh.service.js';
import { dataSourcesOf, isOf } from '../metrics/source-reading.js';
import { syncChannel, type SyncReport } from '../schema/sync-report.js';
import { fail } from './span-failure.js';
import { known } from './view-attributes.js';

/**
 * Spans of synchronisations and comparisons of the schema.
 *
 * @returns a function that ends it
 */
export function watchSchema(refreshes: RefreshService, tracer: Tracer): () => void {
  const spans = new WeakMap<object, Span>();
  const attributesOf = (dataSource: string): Attributes => ({
    'db.system.name': 'postgresql',
    ...known({
      'db.namespace': dataSourcesOf(refreshes).find(({ name }) => name === dataSource)?.database,
    }),
  });
  const synchronised = (message: unknown): void => {
    const report = message as SyncReport;
    // During the boot, the application's data sources are not known yet.
    if (dataSourcesOf(refreshes).length === 0 || isOf(refreshes, report)) {
      endSync(report, tracer, attributesOf(report.dataSource));
    }
  };
  const begin = (message: unknown): void => {
    const trace = message as DiffTrace;
    if (isOf(refreshes, trace)) {
      const attributes = attributesOf(trace.dataSource);
      const kind = SpanKind.INTERNAL;
      spans.set(trace, tracer.startSpan('materialized_view.diff', { kind, attributes }));
    }
  };
  const end = (message: unknown): void => {
    const trace = message as DiffTrace;
    const span = spans.get(trace);
    if (span !== undefined) {
      endDiff(span, trace);
    }
  };
  syncChannel.subscribe(synchronised);
  diffChannel.start.subscribe(begin);
  diffChannel.asyncEnd.subscribe(end);
  return () => {
    syncChannel.unsubscribe(synchronised);
    diffChannel.start.unsubscribe(begin);
    diffChannel.asyncEnd.unsubscribe(end);
  };
}

/** It is published once it is over. */
function endSync(
  { counts, durationMs, views }: SyncReport,
  tracer: Tracer,
  attributes: Attributes,
): void {
  const endMs = Date.now();
  const span = tracer.startSpan('materialized_view.sync', {
    kind: SpanKind.INTERNAL,
    startTime: endMs - durationMs,
    attributes: {
      ...attributes,
      ...Object.fromEntries(
        Object.entries(counts).map(([outcome, count]) => [
          `materialized_view.sync.${outcome}_count`,
          count,
        ]),
      ),
    },
  });
  if (counts.failed > 0) {
    const message = views.find(({ outcome }) => outcome === 'failed')?.reason;
    span.setStatus({ code: SpanStatusCode.ERROR, message });
  }
  span.end(endMs);
}

function endDiff(span: Span, { result, error }: DiffTrace): void {
  if (result !== undefined) {
    span.setAttribute('materialized_view.diff.difference_count', result.length);
  }
  if (error !== undefined) {
    fail(span, error);
  }
  span.end();
}
