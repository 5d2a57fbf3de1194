import { type Context, context, type Span, SpanKind, trace, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { RefreshService } from '../engine/refresh.service.js';
import { isOf } from '../metrics/source-reading.js';
import { graphChannel, type GraphTrace } from '../refresh/refresh-events.js';
import { RefreshGraphError } from '../refresh/refresh-graph.error.js';
import { fail } from './span-failure.js';
import { known } from './view-attributes.js';

/** Spans of calls that refresh several views. The spans of their refreshes stand below them. */
export class GraphSpans {
  private readonly current = new AsyncLocalStorage<unknown>();
  private readonly spans = new WeakMap<object, Span>();

  constructor(
    private readonly refreshes: RefreshService,
    private readonly tracer: Tracer,
  ) {}

  /** @returns ends it */
  watch(): () => void {
    const begin = (message: unknown): Span | undefined => this.begin(message as GraphTrace);
    const end = (message: unknown): void => this.end(message as GraphTrace);
    graphChannel.start.bindStore(this.current, begin);
    graphChannel.asyncEnd.subscribe(end);
    return () => {
      graphChannel.start.unbindStore(this.current);
      graphChannel.asyncEnd.unsubscribe(end);
    };
  }

  /** What a span that begins now stands below. */
  parent(): Context {
    const span = this.current.getStore() as Span | undefined;
    return span === undefined ? context.active() : trace.setSpan(context.active(), span);
  }

  private begin(message: GraphTrace): Span | undefined {
    if (!message.views.some((view) => isOf(this.refreshes, view))) {
      return undefined;
    }
    const span = this.tracer.startSpan('materialized_view.refresh_graph', {
      kind: SpanKind.INTERNAL,
      attributes: {
        'db.system.name': 'postgresql',
        'materialized_view.refresh.trigger': 'demand',
        ...known({ 'materialized_view.refresh_graph.cascade': message.cascade }),
      },
    });
    this.spans.set(message, span);
    return span;
  }

  private end(message: GraphTrace): void {
    const span = this.spans.get(message);
    if (span === undefined) {
      return;
    }
    const { result, error } = message;
    const report = result ?? (error instanceof RefreshGraphError ? error.report : undefined);
    span.setAttributes(
      known({
        'materialized_view.refresh_graph.view_count': report?.views.length,
        'materialized_view.refresh_graph.failed_count': report?.counts.failed,
      }),
    );
    if (error !== undefined) {
      fail(span, error);
    }
    span.end();
  }
}
