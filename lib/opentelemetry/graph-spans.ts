import { type Context, context, type Span, SpanKind, trace, type Tracer } from '@opentelemetry/api';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { RefreshService } from '../engine/refresh.service.js';
import { isOf } from '../metrics/source-reading.js';
import { graphChannel, type GraphTrace } from '../refresh/refresh-events.js';
import { RefreshGraphError } from '../refresh/refresh-graph.error.js';
import { fail } from './span-failure.js';
import { known } from './view-attributes.js';

/** Spans of calls that refresh several views. The spans of their refreshes are their children. */
export class GraphSpans {
  private readonly current = new AsyncLocalStorage<unknown>();
  /** The spans of running calls. */
  private readonly spans = new Map<object, Span>();

  constructor(
    private readonly refreshes: RefreshService,
    private readonly tracer: Tracer,
  ) {}

  /** @returns a function that ends it */
  watch(): () => void {
    const begin = (message: GraphTrace): GraphTrace => this.begin(message);
    const end = (message: unknown): void => this.end(message as GraphTrace);
    graphChannel.start.bindStore(this.current, begin);
    graphChannel.asyncEnd.subscribe(end);
    return () => {
      graphChannel.start.unbindStore(this.current);
      graphChannel.asyncEnd.unsubscribe(end);
    };
  }

  /** The parent of a span that begins now. A timer that was set during a call still has its store after the call. */
  parent(): Context {
    const graph = this.current.getStore() as GraphTrace | undefined;
    const span = graph && this.spans.get(graph);
    return span === undefined ? context.active() : trace.setSpan(context.active(), span);
  }

  private begin(message: GraphTrace): GraphTrace {
    if (!message.views.some((view) => isOf(this.refreshes, view))) {
      return message;
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
    return message;
  }

  private end(message: GraphTrace): void {
    const span = this.spans.get(message);
    if (span === undefined) {
      return;
    }
    this.spans.delete(message);
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
