import { type Meter, metrics, trace, type Tracer } from '@opentelemetry/api';
import { checkOptions, matching, objectOf } from '../definition/option-rules.js';
import type { RefreshService } from '../engine/refresh.service.js';
import { watchRefreshes } from '../metrics/refresh-watch.js';
import { GraphSpans } from './graph-spans.js';
import { observeGauges } from './observed-gauges.js';
import { refreshMetrics } from './refresh-metrics.js';
import { refreshSpans } from './refresh-spans.js';
import { watchSchema } from './schema-spans.js';

export interface InstrumentOptions {
  /** @default the meter of the global provider */
  meter?: Meter;
  /** @default the tracer of the global provider */
  tracer?: Tracer;
}

export interface Instrumentation {
  /** Stops tracing and measuring. */
  stop(): void;
}

const instrumentOptions = objectOf<InstrumentOptions>({
  meter: matching(
    'a meter of OpenTelemetry, as `provider.getMeter(name)` gives it',
    (value) => typeof (value as Partial<Meter> | null)?.createHistogram === 'function',
  ),
  tracer: matching(
    'a tracer of OpenTelemetry, as `provider.getTracer(name)` gives it',
    (value) => typeof (value as Partial<Tracer> | null)?.startSpan === 'function',
  ),
});

const SCOPE = 'nestjs-materialized-views';

/**
 * Creates spans and metrics for an application's materialized views: for refreshes, for calls that refresh several
 * views, and for synchronisations and comparisons of the schema. Spans, counters and histograms cover this process.
 * Gauges are read from the database on collection, at most once every 5 s, and are the same in every process.
 *
 * @throws InvalidOptionsError if an option is unknown or has a wrong value
 * @example
 * ```ts
 * const app = await NestFactory.create(AppModule);
 * instrument(app.get(RefreshService));
 * ```
 */
export function instrument(
  refreshes: RefreshService,
  options: InstrumentOptions = {},
): Instrumentation {
  checkOptions('instrument', instrumentOptions, options);
  const { meter = metrics.getMeter(SCOPE), tracer = trace.getTracer(SCOPE) } = options;
  const graphs = new GraphSpans(refreshes, tracer);
  const stops = [
    graphs.watch(),
    watchRefreshes(refreshes, refreshSpans(refreshes, tracer, graphs)),
    watchSchema(refreshes, tracer),
    watchRefreshes(refreshes, refreshMetrics(refreshes, meter)),
    observeGauges(refreshes, meter),
  ];
  return { stop: () => stops.forEach((stop) => stop()) };
}
