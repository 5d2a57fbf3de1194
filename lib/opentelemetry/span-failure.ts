import { type Span, SpanStatusCode } from '@opentelemetry/api';
import { errorTypeOf } from '../metrics/refresh-watch.js';

/** Marks a span as failed. */
export function fail(span: Span, error: unknown): void {
  span.setAttribute('error.type', errorTypeOf(error));
  span.setStatus({
    code: SpanStatusCode.ERROR,
    message: error instanceof Error ? error.message : undefined,
  });
}
